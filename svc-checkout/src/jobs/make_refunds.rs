//! Gives back what is owed. Idempotent by payment id at the provider and in the box office.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::box_office::worklist::Worklist;
use crate::payment::Cashier;

const EVERY: Duration = Duration::from_secs(1);
/// A cancelled event owes thousands, and one takes some 20 ms. More at once would be felt by those who pay.
const AT_ONCE: usize = 16;

/// Runs until `stop`.
pub async fn run(worklist: Arc<Worklist>, cashier: Arc<Cashier>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let refunds = stream::iter(worklist.refunds());
        refunds
            .for_each_concurrent(AT_ONCE, async |owed| {
                if let Err(error) = cashier.refund(&owed).await {
                    tracing::warn!(payment_id = %owed.payment_id, %error, "refund stays owed");
                }
            })
            .await;
    }
}
