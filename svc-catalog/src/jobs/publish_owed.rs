//! Publishes what a crash or a broker that was away left unpublished.

use platform::intent::Intents;
use tokio_util::sync::CancellationToken;

use crate::publish::EventPublication;

/// Sweeps the intents until `stop`. Publishing the newest state once more harms nobody: readers drop what is not newer.
pub async fn run(intents: &Intents, publication: &EventPublication, stop: CancellationToken) {
    intents.run_sweeper(publication, stop).await;
}
