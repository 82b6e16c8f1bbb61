//! Settles what a crash or a lost answer left open. Idempotent: the provider answers the same
//! and the box office knows what it has settled.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::box_office::worklist::Worklist;
use crate::payment::Cashier;

const EVERY: Duration = Duration::from_millis(500);
/// A younger payment is in its handler's hands.
const LEAVE_FOR: Duration = Duration::from_secs(2);
/// A payment that the provider has not heard of for so long never reached it: its handler's
/// call has timed out long ago.
const VOID_AFTER: Duration = Duration::from_secs(15);

/// Runs until `stop`.
pub async fn run(worklist: Arc<Worklist>, cashier: Arc<Cashier>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let now = Timestamp::now();
        for open in worklist.open_payments(now.saturating_sub(LEAVE_FOR)) {
            let void = open.since <= now.saturating_sub(VOID_AFTER);
            if let Err(error) = cashier.resolve(&open, void).await {
                tracing::warn!(payment_id = %open.payment_id, %error, "payment stays open");
            }
        }
    }
}
