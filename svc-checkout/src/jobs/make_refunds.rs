//! Gives back what is owed. Idempotent by payment id at the provider and in the box office.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pauses::Pauses;
use crate::box_office::worklist::Worklist;
use crate::payment::Cashier;

const EVERY: Duration = Duration::from_secs(1);
/// A cancelled event owes thousands, and one takes some 20 ms. More at once would be felt by those who pay.
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
        let refunds = pauses.due(worklist.refunds(), |owed| owed.payment_id, Instant::now());
        let mut made = stream::iter(refunds)
            .map(|owed| {
                let cashier = &cashier;
                async move { (owed.payment_id, cashier.refund(&owed).await) }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((payment_id, made)) = made.next().await {
            if let Err(error) = made {
                let error = anyhow::Error::from(error);
                tracing::warn!(%payment_id, error = format!("{error:#}"), "refund stays owed");
                pauses.failed(payment_id, EVERY, Instant::now());
            }
        }
    }
}
