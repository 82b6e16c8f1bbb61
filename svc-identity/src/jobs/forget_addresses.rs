//! Forgets which address somebody wanted when the link that was to prove it has ended, and which one somebody had when
//! the owner was told.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::accounts::Accounts;

/// They are worth nothing by then; this is only how soon nobody can read them any more.
const EVERY: Duration = Duration::from_secs(15);

/// Runs until `stop`. Twice, or in several instances at a time, is the same as once.
pub async fn run(accounts: Arc<Accounts>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if let Err(error) = accounts.forget_old_addresses().await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "old addresses are not forgotten yet");
        }
    }
}
