//! Publishes what a crash, or a broker that was away, left unpublished of guests.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::guest_topic::GuestTopic;

/// Sweeps until `stop`.
pub async fn run(guests: Arc<GuestTopic>, stop: CancellationToken) {
    guests.intents.run_sweeper(&*guests, stop).await;
}
