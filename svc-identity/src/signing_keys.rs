//! The signing keys: read and decrypted; the first one ever is made, and the next ones when somebody wants them.

use anyhow::Context as _;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use platform::clock::Timestamp;
use platform::vault::Vault;
use secrecy::ExposeSecret as _;

use crate::domain::key_ring::{KeyRing, PUBLISHED_BEFORE};
use crate::store::signing_keys::{SigningKeys, StoredKey};
use crate::tokens::SigningKey;

/// The place of the first key.
const FIRST: i32 = 1;

/// Nothing was done: the keys are not such that it could be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

impl Refused {
    fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// All keys. When there is none, one is made; of instances that start together all get the same one.
pub async fn open(store: &SigningKeys, vault: &Vault) -> anyhow::Result<KeyRing<SigningKey>> {
    let mut stored = store.list().await?;
    if stored.is_empty() {
        let inserted = store
            .insert(&generate(vault, FIRST, Timestamp::EPOCH)?)
            .await;
        stored = store.list().await?;
        if stored.is_empty() {
            // With a key there it does not matter how the attempt ended.
            inserted?;
        }
    }
    let mut keys = stored.into_iter();
    let first = keys
        .next()
        .context("the signing key that was just made is not there")?;
    let first = unseal(vault, first)?;
    let later = keys
        .map(|key| Ok((key.signs_from, unseal(vault, key)?)))
        .collect::<anyhow::Result<_>>()?;
    Ok(KeyRing::new(first, later))
}

/// Makes the next key; when it takes over. Until then it is published and signs nothing.
pub async fn rotate(
    store: &SigningKeys,
    vault: &Vault,
    now: Timestamp,
) -> anyhow::Result<Timestamp> {
    let stored = store.list().await?;
    let on_its_way = stored.last().filter(|newest| newest.signs_from > now);
    if let Some(next) = on_its_way {
        let then = next.signs_from.to_rfc3339();
        let reason = format!(
            "a key is on its way already and takes over at {then}; rotate again after that"
        );
        return Err(Refused::because(reason).into());
    }
    let made = add(store, vault, &stored, now + PUBLISHED_BEFORE).await?;
    let quicker = "somebody else rotated the keys in this moment, and that will do";
    Ok(made.ok_or_else(|| Refused::because(quicker))?)
}

/// Makes a key that signs from `now`, and takes all others away, those on their way too: whatever they sign or have signed is
/// worth nothing for whoever looks at the keys again. Again is another key in the place of that one.
pub async fn replace(
    store: &SigningKeys,
    vault: &Vault,
    now: Timestamp,
) -> anyhow::Result<Timestamp> {
    let stored = store.list().await?;
    let made = add(store, vault, &stored, now).await?;
    let quicker = "somebody else made a key in this moment: do it again";
    let signs_from = made.ok_or_else(|| Refused::because(quicker))?;
    // Last: there is a key at any time, else an instance that starts would make one more.
    for key in &stored {
        let gone = store.delete(key).await;
        gone.context("the new key is there, and not every other one is gone: do it again")?;
    }
    Ok(signs_from)
}

/// Makes the key after those that are `stored`; `None` where somebody else did in this moment.
async fn add(
    store: &SigningKeys,
    vault: &Vault,
    stored: &[StoredKey],
    signs_from: Timestamp,
) -> anyhow::Result<Option<Timestamp>> {
    let none = "there is no signing key yet: svc-identity makes the first one when it starts";
    let newest = stored.last().ok_or_else(|| Refused::because(none))?;
    // Under another key-encryption key the new one would be good, and no instance could read it.
    for key in stored {
        unseal(vault, key.clone())?;
    }
    let next = generate(vault, newest.sequence + 1, signs_from)?;
    let inserted = store.insert(&next).await;
    let stored = store.list().await?;
    // Whatever the attempt ended with, the table says whose key has the place.
    match stored.iter().find(|key| key.sequence == next.sequence) {
        Some(found) => Ok((found.key_id == next.key_id).then_some(next.signs_from)),
        None => {
            inserted?;
            anyhow::bail!("the key that was just made is not there")
        }
    }
}

fn generate(vault: &Vault, sequence: i32, signs_from: Timestamp) -> anyhow::Result<StoredKey> {
    let pair = Ed25519KeyPair::generate()?;
    let public_key = pair.public_key().as_ref().to_vec();
    let key_id = thumbprint(&public_key);
    let private_key = pair.to_pkcs8()?;
    Ok(StoredKey {
        sequence,
        sealed_private_key: vault.seal(&key_id, private_key.as_ref())?,
        key_id,
        public_key,
        signs_from,
    })
}

fn unseal(vault: &Vault, stored: StoredKey) -> anyhow::Result<SigningKey> {
    let StoredKey {
        key_id,
        public_key,
        sealed_private_key,
        ..
    } = stored;
    let private_key = vault
        .open(&key_id, &sealed_private_key)
        .context("a signing key is sealed under another IDENTITY_KEY_ENCRYPTION_KEY")?;
    let public_key = public_key
        .try_into()
        .map_err(|_| anyhow::anyhow!("signing key {key_id} has a public key of another length"))?;
    Ok(SigningKey {
        private_key: EncodingKey::from_ed_der(private_key.expose_secret()),
        public_key,
        key_id,
    })
}

/// The thumbprint of RFC 7638: the same key has the same id wherever it is computed.
fn thumbprint(public_key: &[u8]) -> String {
    let x = URL_SAFE_NO_PAD.encode(public_key);
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037, appendix A.3.
    #[test]
    fn the_key_id_is_the_thumbprint_of_the_rfc() {
        let public_key = URL_SAFE_NO_PAD
            .decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
            .unwrap();
        assert_eq!(
            thumbprint(&public_key),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}
