//! Holding a repeat of a key to its first body.

use aws_lc_rs::digest;
use platform::http::IdempotencyKey;
use serde::Serialize;

use crate::domain::order::Fingerprint;

/// What a body says, so that a repeat of its key can be held to it. The key goes in as well: the
/// log shows fingerprints, and nobody shall find a body by trying.
pub fn fingerprint(key: Option<&IdempotencyKey>, body: &impl Serialize) -> Fingerprint {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(key.map_or("", IdempotencyKey::as_str).as_bytes());
    context.update(b"\n");
    // A body that was just parsed can be written; were it not, all such bodies would be alike.
    context.update(&serde_json::to_vec(body).unwrap_or_default());
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}
