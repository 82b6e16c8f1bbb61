//! Gives addresses back that somebody began to register and nobody has.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::abandoned_claims::AbandonedClaims;

/// All claims are read, so not often: one too many is in the way of those only who want to change to the address.
const EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// Between two pages of 1,000, whose users are read one after the other: 1,000,000 accounts take two hours or so, and nobody
/// else notices.
const PAUSE: Duration = Duration::from_secs(5);
/// When the database was away.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// For this long a registration that broke off can be carried on.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs until `stop`, at the start and daily. Twice, or in several instances at a time, is the same as once.
pub async fn run(abandoned: Arc<AbandonedClaims>, stop: CancellationToken) {
    let mut after = None;
    loop {
        let before = Timestamp::now().saturating_sub(ABANDONED_AFTER);
        let released = tokio::select! {
            () = stop.cancelled() => return,
            released = abandoned.release_page(after.as_ref(), before) => released,
        };
        let pause = match released {
            Ok((released, next)) => {
                if released > 0 {
                    tracing::info!(released, "addresses that nobody had are free");
                }
                after = next;
                if after.is_some() { PAUSE } else { EVERY }
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "addresses that nobody has are not free yet");
                AGAIN_AFTER
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
