//! The private parts of the signing keys at rest: AES-256-GCM under a key that is not in the database, so that a copy
//! of the database signs nothing.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use secrecy::{ExposeSecret as _, SecretBox};

use crate::config::KEY_ENCRYPTION_KEY_BYTES;

/// Encrypts and decrypts private keys.
pub struct KeyVault {
    key: RandomizedNonceKey,
}

/// A key could not be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// It was not encrypted with this key, or for this key id, or it was changed since.
    #[error(
        "signing key {0} cannot be decrypted: is IDENTITY_KEY_ENCRYPTION_KEY the one it was made with?"
    )]
    Open(String),
    /// The library refused.
    #[error("signing key {0} cannot be encrypted")]
    Seal(String),
}

impl KeyVault {
    /// A vault under `key`.
    ///
    /// # Errors
    /// When the library refuses the key, which it does for another length only.
    pub fn new(key: &SecretBox<[u8; KEY_ENCRYPTION_KEY_BYTES]>) -> anyhow::Result<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.expose_secret())?;
        Ok(Self { key })
    }

    /// Nonce, encrypted key and tag. The key id is authenticated with it: a row cannot pass for another one.
    pub fn seal(&self, key_id: &str, private_key: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut sealed = private_key.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(key_id), &mut sealed)
            .map_err(|_| VaultError::Seal(key_id.to_owned()))?;
        sealed.splice(0..0, *nonce.as_ref());
        Ok(sealed)
    }

    /// The private key that [`KeyVault::seal`] was given.
    pub fn open(&self, key_id: &str, sealed: &[u8]) -> Result<SecretBox<[u8]>, VaultError> {
        let failed = || VaultError::Open(key_id.to_owned());
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(failed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?;
        let mut private_key = sealed.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(key_id), &mut private_key)
            .map_err(|_| failed())?
            .len();
        private_key.truncate(opened);
        Ok(SecretBox::new(private_key.into_boxed_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> KeyVault {
        KeyVault::new(&SecretBox::new(Box::new([byte; KEY_ENCRYPTION_KEY_BYTES]))).unwrap()
    }

    #[test]
    fn what_was_sealed_can_be_opened_by_its_own_key_and_id_only() {
        let sealed = vault(1).seal("a", b"private").unwrap();
        assert_eq!(
            vault(1).open("a", &sealed).unwrap().expose_secret(),
            b"private"
        );
        assert!(vault(2).open("a", &sealed).is_err());
        assert!(vault(1).open("b", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(vault(1).open("a", &changed).is_err(), "byte {at}");
            assert!(vault(1).open("a", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_key_is_not_to_be_seen_and_looks_different_each_time() {
        let sealed = || vault(1).seal("a", b"private").unwrap();
        assert_ne!(sealed(), sealed());
        assert!(!sealed().windows(7).any(|window| window == b"private"));
    }
}
