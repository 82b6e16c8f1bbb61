//! Passwords: Argon2id on threads of its own.

mod pool;

use argon2::password_hash::{self, PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand;
use secrecy::{ExposeSecret as _, SecretString};
use unicode_normalization::UnicodeNormalization as _;

pub use pool::PoolError;

use self::pool::Pool;
use crate::config::PasswordConfig;

/// Hashes and verifies passwords. A flood of sign-ins is refused here and slows nothing else down.
pub struct Passwords {
    pool: Pool,
    argon2: Argon2<'static>,
    /// Costs as much to verify as any other, and nobody knows its password.
    decoy: PasswordHash,
}

impl Passwords {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the cost is not one that Argon2 has, or a thread cannot be started.
    pub fn new(config: &PasswordConfig) -> anyhow::Result<Self> {
        let params = Params::new(config.memory_kib, config.iterations, config.lanes, None)?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut nobody_knows = [0; 32];
        rand::fill(&mut nobody_knows)?;
        Ok(Self {
            pool: Pool::new(config.threads, config.queue)?,
            decoy: argon2.hash_password(&nobody_knows)?,
            argon2,
        })
    }

    /// The PHC string of a new password.
    pub async fn hash(&self, password: SecretString) -> Result<String, PoolError> {
        let argon2 = self.argon2.clone();
        let hashed = self
            .pool
            .run(move || argon2.hash_password(bytes(&password).expose_secret().as_bytes()))
            .await?;
        hashed
            .map(|hash| hash.to_string())
            .map_err(PoolError::failed)
    }

    /// Whether `password` is the one that `hash` was made of. Without a hash it is not, and it takes as long to say so.
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<&str>,
    ) -> Result<bool, PoolError> {
        let against = match hash {
            Some(text) => PasswordHash::new(text).map_err(PoolError::failed)?,
            None => self.decoy.clone(),
        };
        let argon2 = self.argon2.clone();
        let verified = self
            .pool
            .run(move || {
                argon2.verify_password(bytes(&password).expose_secret().as_bytes(), &against)
            })
            .await?;
        match verified {
            Ok(()) => Ok(hash.is_some()),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(PoolError::failed(error)),
        }
    }
}

/// What is hashed. Keyboards disagree on whether é is one character or two (RFC 8265, section 4.2), and a password
/// must not depend on the keyboard.
fn bytes(password: &SecretString) -> SecretString {
    SecretString::from(password.expose_secret().nfc().collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        let config = PasswordConfig {
            memory_kib: 19_456,
            iterations: 2,
            lanes: 1,
            threads: 1,
            queue: 8,
        };
        Passwords::new(&config).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_verified_in_either_form_of_its_accents() {
        let passwords = passwords();
        let hash = passwords.hash("caf\u{e9}-cr\u{e8}me".into()).await.unwrap();
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let verify = async |text: &str| passwords.verify(text.into(), Some(&hash)).await.unwrap();
        assert!(verify("caf\u{e9}-cr\u{e8}me").await);
        assert!(verify("cafe\u{301}-cre\u{300}me").await);
        assert!(!verify("cafe-creme").await);
    }

    #[tokio::test]
    async fn two_hashes_of_one_password_differ() {
        let passwords = passwords();
        let hash = async || passwords.hash("correct horse".into()).await.unwrap();
        assert_ne!(hash().await, hash().await);
    }

    #[tokio::test]
    async fn nobody_has_the_decoys_password() {
        assert!(
            !passwords()
                .verify("correct horse".into(), None)
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn a_broken_hash_is_no_wrong_password() {
        let verified = passwords()
            .verify("correct horse".into(), Some("plain"))
            .await;
        assert!(matches!(verified, Err(PoolError::Failed(_))));
    }
}
