//! Settles what a crash or a lost answer left open. Idempotent: the provider answers the same
//! and the box office knows what it has settled.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use platform::clock::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pauses::Pauses;
use crate::box_office::worklist::Worklist;
use crate::payment::Cashier;

const EVERY: Duration = Duration::from_millis(500);
/// A younger payment is in its handler's hands.
const LEAVE_FOR: Duration = Duration::from_secs(2);
/// A payment that has no end at the provider for so long gets none by itself: its handler's call has timed out long ago.
const VOID_AFTER: Duration = Duration::from_secs(15);
/// While a provider does not answer, each question takes seconds; one after the other they would hold up all.
const AT_ONCE: usize = 16;

/// Runs until `stop`.
pub async fn run(worklist: Arc<Worklist>, cashier: Arc<Cashier>, stop: CancellationToken) {
    let mut pauses = Pauses::default();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let now = Timestamp::now();
        let open = pauses.due(
            worklist.open_payments(now.saturating_sub(LEAVE_FOR)),
            |open| open.payment_id,
            Instant::now(),
        );
        let mut asked = stream::iter(open)
            .map(|open| {
                let cashier = &cashier;
                let void = open.since <= now.saturating_sub(VOID_AFTER);
                async move { (open.payment_id, cashier.resolve(&open, void).await) }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((payment_id, asked)) = asked.next().await {
            match asked {
                Ok(true) => {}
                Ok(false) => tracing::debug!(%payment_id, "no end at the provider yet"),
                Err(error) => {
                    let error = anyhow::Error::from(error);
                    tracing::warn!(%payment_id, error = format!("{error:#}"), "payment stays open");
                    pauses.failed(payment_id, EVERY, Instant::now());
                }
            }
        }
    }
}
