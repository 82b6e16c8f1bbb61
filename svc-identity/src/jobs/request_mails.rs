//! Asks for the mails that a crash, or a broker that was away, left owed.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::mail_requests::MailRequests;

/// Runs until `stop`.
pub async fn run(mails: Arc<MailRequests>, stop: CancellationToken) {
    mails.run_sweeper(stop).await;
}
