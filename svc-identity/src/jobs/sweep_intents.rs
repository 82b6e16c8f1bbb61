//! Publishes what a crash, or a broker that was away, left unpublished.

use std::sync::Arc;

use platform::intent::Intents;
use tokio_util::sync::CancellationToken;

use crate::user_topic::UserTopic;

/// Sweeps until `stop`. Doing it twice, or in several instances at a time, publishes the same state again, and readers
/// drop what they know.
pub async fn run(intents: Arc<Intents>, topic: Arc<UserTopic>, stop: CancellationToken) {
    intents.run_sweeper(&*topic, stop).await;
}
