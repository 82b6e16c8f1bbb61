//! Learns of signing keys that were made since the start.

use std::sync::Arc;

use platform::vault::Vault;
use tokio_util::sync::CancellationToken;

use crate::domain::key_ring::RELOAD_EVERY;
use crate::signing_keys;
use crate::store::signing_keys::SigningKeys;
use crate::tokens::Tokens;

/// Runs until `stop`. While the database is away the keys stay what they are, and nobody gets a token anyway.
pub async fn run(tokens: Arc<Tokens>, store: SigningKeys, vault: Vault, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RELOAD_EVERY) => {}
        }
        match signing_keys::open(&store, &vault).await {
            Ok(keys) => tokens.replace_keys(keys),
            Err(error) => {
                let error: &dyn std::error::Error = &*error;
                tracing::warn!(error, "the signing keys could not be read again");
            }
        }
    }
}
