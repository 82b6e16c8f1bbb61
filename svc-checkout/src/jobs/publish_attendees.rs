//! Publishes what a crash, or a broker that was away, left unpublished of attendees.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::attendee_topic::AttendeeTopic;

/// Sweeps until `stop`.
pub async fn run(attendees: Arc<AttendeeTopic>, stop: CancellationToken) {
    attendees.intents.run_sweeper(&*attendees, stop).await;
}
