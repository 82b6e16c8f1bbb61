//! Passwords: Argon2id on threads of its own.

mod cost;
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
            .run(move || {
                cost::count(argon2.params());
                argon2.hash_password(bytes(&password).expose_secret().as_bytes())
            })
            .await?;
        hashed
            .map(|hash| hash.to_string())
            .map_err(PoolError::failed)
    }

    /// A hash of today's cost in place of one of the same password that was made when they were cheaper. Nothing where it
    /// was not, nor while too many passwords wait: the next sign-in is another occasion.
    pub async fn renew(
        &self,
        password: SecretString,
        hash: &str,
    ) -> Result<Option<String>, PoolError> {
        let parsed = PasswordHash::new(hash).map_err(PoolError::failed)?;
        let missing = cost::missing(&parsed, self.argon2.params()).map_err(PoolError::failed)?;
        if missing.is_none() {
            return Ok(None);
        }
        match self.hash(password).await {
            Ok(renewed) => Ok(Some(renewed)),
            Err(PoolError::Overloaded) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether `password` is the one that `hash` was made of. Without a hash it is not, and it takes as long to say so:
    /// as long as a hash of today's cost. One that was made when they were cheaper is not told by the time either.
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<&str>,
    ) -> Result<bool, PoolError> {
        let against = match hash {
            Some(text) => PasswordHash::new(text).map_err(PoolError::failed)?,
            None => self.decoy.clone(),
        };
        let costs = Params::try_from(&against).map_err(PoolError::failed)?;
        let missing = cost::missing(&against, self.argon2.params()).map_err(PoolError::failed)?;
        let argon2 = self.argon2.clone();
        let verified = self
            .pool
            .run(move || {
                let password = bytes(&password);
                let password = password.expose_secret().as_bytes();
                cost::count(&costs);
                let verified = argon2.verify_password(password, &against);
                if let Some(missing) = missing.filter(|_| verified.is_err()) {
                    cost::pay(missing, password)?;
                }
                verified
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
    async fn a_cheap_hash_is_renewed_and_a_dear_one_is_not() {
        let passwords = passwords();
        let of_cost = |memory_kib, iterations| {
            let params = Params::new(memory_kib, iterations, 1, None).unwrap();
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            argon2.hash_password(b"correct horse").unwrap().to_string()
        };
        for (memory_kib, iterations, is_cheap) in [
            (19_456, 1, true),
            (9_728, 2, true),
            (19_456, 2, false),
            (19_456, 3, false),
        ] {
            let hash = of_cost(memory_kib, iterations);
            let verified = passwords.verify("correct horse".into(), Some(&hash));
            assert!(verified.await.unwrap());
            let wrong = passwords.verify("correct mule".into(), Some(&hash));
            assert!(!wrong.await.unwrap());
            let renewed = passwords
                .renew("correct horse".into(), &hash)
                .await
                .unwrap();
            assert_eq!(renewed.is_some(), is_cheap, "{hash}");
            if let Some(renewed) = renewed {
                assert!(renewed.contains("m=19456,t=2,p=1"), "{renewed}");
                let verified = passwords.verify("correct horse".into(), Some(&renewed));
                assert!(verified.await.unwrap());
            }
        }
    }

    #[tokio::test]
    async fn a_broken_hash_is_no_wrong_password() {
        let verified = passwords()
            .verify("correct horse".into(), Some("plain"))
            .await;
        assert!(matches!(verified, Err(PoolError::Failed(_))));
    }
}
