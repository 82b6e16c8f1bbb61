//! Publishes what a crash or a broker that was away left unpublished.

use platform::intent::{Intents, Published};
use tokio_util::sync::CancellationToken;

/// Sweeps the intents until `stop`. Publishing the newest state once more harms nobody: readers drop what is not newer.
pub async fn run<P: Published>(intents: &Intents, publication: &P, stop: CancellationToken) {
    intents.run_sweeper(publication, stop).await;
}
