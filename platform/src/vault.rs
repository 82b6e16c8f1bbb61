//! Secrets at rest: AES-256-GCM under a key that is not in the database, so that a copy of the database has none of them.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use secrecy::{ExposeSecret as _, SecretBox};

/// Bytes of the key: AES-256.
pub const KEY_BYTES: usize = 32;

/// Encrypts and decrypts secrets.
pub struct Vault {
    key: RandomizedNonceKey,
}

/// A secret could not be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// It was not encrypted with this key, or under this name, or it was changed since.
    #[error("{0} cannot be decrypted: is the encryption key the one it was encrypted with?")]
    Open(String),
    /// The library refused.
    #[error("{0} cannot be encrypted")]
    Seal(String),
}

impl Vault {
    /// A vault under `key`.
    ///
    /// # Errors
    /// When the library refuses the key, which it does for another length only.
    pub fn new(key: &SecretBox<[u8; KEY_BYTES]>) -> anyhow::Result<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.expose_secret())?;
        Ok(Self { key })
    }

    /// Nonce, encrypted secret and tag. The name is authenticated with it: a row cannot pass for another one.
    pub fn seal(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut sealed = secret.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(name), &mut sealed)
            .map_err(|_| VaultError::Seal(name.to_owned()))?;
        sealed.splice(0..0, *nonce.as_ref());
        Ok(sealed)
    }

    /// The secret that [`Vault::seal`] was given.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<SecretBox<[u8]>, VaultError> {
        let failed = || VaultError::Open(name.to_owned());
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(failed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed())?;
        let mut secret = sealed.to_vec();
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(name), &mut secret)
            .map_err(|_| failed())?
            .len();
        secret.truncate(opened);
        Ok(SecretBox::new(secret.into_boxed_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(byte: u8) -> Vault {
        Vault::new(&SecretBox::new(Box::new([byte; KEY_BYTES]))).unwrap()
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
