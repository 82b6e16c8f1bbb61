//! Waiting for what happens a little later.

use std::time::Duration;

use anyhow::anyhow;
use tokio::time::Instant;

/// Between two looks. Short against what is waited for, long against what a look costs.
const PAUSE: Duration = Duration::from_millis(50);

/// For what takes a record or two to arrive, on a machine that is busy with other tests.
pub const SOON: Duration = Duration::from_secs(20);

/// Looks until there is something, at most for `deadline`. `what` completes "waited 20 s for …".
///
/// The only place that sleeps: a test never waits for time to pass, only for a condition. An error of a look is
/// remembered and told at the end, and the next look may succeed.
pub async fn eventually<T, Look>(
    deadline: Duration,
    what: &str,
    mut look: impl FnMut() -> Look,
) -> anyhow::Result<T>
where
    Look: Future<Output = anyhow::Result<Option<T>>>,
{
    let end = Instant::now() + deadline;
    loop {
        let failure = match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= end {
            let waited = format!("waited {} s for {what}", deadline.as_secs_f32());
            return Err(match failure {
                Some(error) => error.context(waited),
                None => anyhow!("{waited}"),
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
}
