//! Forgets cases with support that were closed long ago.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;

/// They were kept for days or years: an hour more is no matter.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Runs until `stop`. Twice, or in several instances at a time, is the same as once.
pub async fn run(desk: Arc<Desk>, kept_for: Duration, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let long_ago = Timestamp::now().saturating_sub(kept_for);
        if let Err(error) = desk.forget_closed(long_ago).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "cases of long ago are not forgotten yet");
        }
    }
}
