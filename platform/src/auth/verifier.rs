//! Verifies access tokens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jsonwebtoken::{Validation, decode, decode_header};
use moka::sync::Cache;
use uuid::Uuid;

use super::keys::{FetchError, KeySet, Keys, Pace};
use super::{ALGORITHM, AUDIENCE, AccessClaims, Caller, Role, SERVICE_AUDIENCE, TOKEN_TYPE};
use crate::clock::Timestamp;
use crate::config::AuthConfig;
use crate::http::{Code, Problem};

/// Longest token that is looked at.
const MAX_TOKEN_LEN: usize = 4_096;
/// Most verified tokens that are remembered, about 200 bytes each.
const MAX_CACHED_TOKENS: u64 = 50_000;
/// How long a verified token is remembered at most; it ends earlier when the token does.
const CACHE_TTL: Duration = Duration::from_secs(900);
/// How long the tokens of an erased user are refused: the 15 minutes that an access token lives, and as much again for clocks that
/// differ and for work that was under way. After that all of them have ended.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(30 * 60);

/// Why a token does not let its bearer in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// It is not a token of ours. The reason is for the log: a client that guesses should not learn how close it came.
    #[error("the access token is not valid: {0}")]
    Invalid(&'static str),
    /// It was one.
    #[error("the access token has expired")]
    Expired,
    /// No key was ever fetched, so nobody can tell.
    #[error("the issuer's keys are not known")]
    NoKeys(#[source] Option<anyhow::Error>),
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Invalid(reason) => {
                tracing::debug!(reason, "a token was refused");
                Self::new(Code::Unauthenticated).detail("the access token is not valid")
            }
            AuthError::Expired => Self::new(Code::TokenExpired),
            AuthError::NoKeys(_) => Self::unavailable(error),
        }
    }
}

/// Verifies access tokens with the issuer's keys, and remembers those it verified: on the hot path a token is verified
/// once, not once for each request.
#[derive(Debug)]
pub struct Verifier {
    keys: Keys,
    validation: Validation,
    /// By SHA-256 of the token: the cache holds nothing that could be stolen and used.
    verified: Cache<[u8; 32], Arc<Verified>>,
    /// Users whose tokens count no more, 16 bytes each, for [`REFUSED_FOR`].
    refused: Cache<Uuid, ()>,
    refreshing: AtomicBool,
}

#[derive(Debug)]
struct Verified {
    caller: Caller,
    is_service: bool,
    expires: Timestamp,
    generation: u64,
}

impl Verifier {
    /// A verifier that has no keys yet; the first token makes it fetch them.
    pub fn new(config: &AuthConfig) -> anyhow::Result<Arc<Self>> {
        Self::with_pace(config, Pace::default())
    }

    pub(super) fn with_pace(config: &AuthConfig, pace: Pace) -> anyhow::Result<Arc<Self>> {
        let mut validation = Validation::new(ALGORITHM);
        validation.set_audience(&[AUDIENCE, SERVICE_AUDIENCE]);
        validation.set_issuer(&[&config.issuer]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // `exp` is compared with our own clock instead, also for tokens out of the cache.
        validation.validate_exp = false;
        Ok(Arc::new(Self {
            keys: Keys::new(config.jwks_url.clone(), pace)?,
            validation,
            verified: Cache::builder()
                .max_capacity(MAX_CACHED_TOKENS)
                .time_to_live(CACHE_TTL)
                .build(),
            refused: Cache::builder().time_to_live(REFUSED_FOR).build(),
            refreshing: AtomicBool::new(false),
        }))
    }

    /// From now on refuses all tokens of this user, also those that it has verified before.
    pub fn refuse(&self, user_id: Uuid) {
        self.refused.insert(user_id, ());
    }

    /// Who the bearer of `token` is. The token of a service is refused.
    pub async fn verify(self: &Arc<Self>, token: &str) -> Result<Caller, AuthError> {
        self.verify_at(token, Timestamp::now()).await
    }

    async fn verify_at(self: &Arc<Self>, token: &str, now: Timestamp) -> Result<Caller, AuthError> {
        let verified = self.verified_at(token, now).await?;
        if verified.is_service {
            return Err(AuthError::Invalid("a service's"));
        }
        Ok(verified.caller.clone())
    }

    /// Which service the bearer of `token` is. The token of a person is refused.
    pub async fn verify_service(self: &Arc<Self>, token: &str) -> Result<Uuid, AuthError> {
        let verified = self.verified_at(token, Timestamp::now()).await?;
        if !verified.is_service || !verified.caller.has(Role::Service) {
            return Err(AuthError::Invalid("not a service's"));
        }
        Ok(verified.caller.user_id)
    }

    async fn verified_at(
        self: &Arc<Self>,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<Verified>, AuthError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(AuthError::Invalid("too long"));
        }
        let hash: [u8; 32] = digest(&SHA256, token.as_bytes())
            .as_ref()
            .try_into()
            .expect("SHA-256 has 32 bytes");
        let known = self.verified.get(&hash);
        let verified = match known.filter(|known| self.is_current(known)) {
            Some(known) => known,
            None => {
                let verified = Arc::new(self.check(token).await?);
                self.verified.insert(hash, Arc::clone(&verified));
                verified
            }
        };
        if verified.expires <= now {
            return Err(AuthError::Expired);
        }
        if self.refused.contains_key(&verified.caller.user_id) {
            return Err(AuthError::Invalid("of a user who was erased"));
        }
        Ok(verified)
    }

    /// Whether the key that `verified` was signed with is still among those of the issuer.
    fn is_current(&self, verified: &Verified) -> bool {
        self.keys
            .current()
            .is_some_and(|keys| keys.generation == verified.generation)
    }

    /// Everything but the time.
    async fn check(self: &Arc<Self>, token: &str) -> Result<Verified, AuthError> {
        let header = decode_header(token).map_err(|_| AuthError::Invalid("no JWT header"))?;
        if header.alg != ALGORITHM {
            return Err(AuthError::Invalid("another algorithm"));
        }
        if header.typ.as_deref() != Some(TOKEN_TYPE) {
            return Err(AuthError::Invalid("another type of token"));
        }
        if header.crit.is_some() {
            // We understand no extension, and RFC 7515 wants such a token refused.
            return Err(AuthError::Invalid("critical extensions"));
        }
        let kid = header.kid.ok_or(AuthError::Invalid("no key id"))?;
        let keys = self.keys_with(&kid).await?;
        let key = keys.get(&kid).ok_or(AuthError::Invalid("unknown key"))?;
        let claims = decode::<AccessClaims>(token, key, &self.validation)
            .map_err(|_| AuthError::Invalid("signature or claims"))?
            .claims;
        Ok(Verified {
            is_service: claims.aud == SERVICE_AUDIENCE,
            caller: Caller {
                user_id: claims.sub,
                roles: claims.roles,
                locale: claims.locale,
                token_id: claims.jti,
            },
            expires: Timestamp::from_seconds(claims.exp),
            generation: keys.generation,
        })
    }

    /// The keys; fetched, if the one called `kid` is not among those that are there.
    async fn keys_with(self: &Arc<Self>, kid: &str) -> Result<Arc<KeySet>, AuthError> {
        if let Some(keys) = self.keys.current().filter(|keys| keys.get(kid).is_some()) {
            return Ok(keys);
        }
        self.keep_refreshing();
        let fetched = self.keys.fetch_unless_recent().await;
        if let Some(keys) = self.keys.current() {
            if let Err(error) = fetched {
                warn(&error);
            }
            return Ok(keys);
        }
        Err(AuthError::NoKeys(fetched.err().map(Into::into)))
    }

    /// Starts the refresh in the background, once. It ends with the verifier.
    fn keep_refreshing(self: &Arc<Self>) {
        if self.refreshing.swap(true, Ordering::Relaxed) {
            return;
        }
        let verifier = Arc::downgrade(self);
        let interval = self.keys.pace().refresh;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(verifier) = Weak::upgrade(&verifier) else {
                    break;
                };
                if let Err(error) = verifier.keys.refresh().await {
                    warn(&error);
                }
            }
        });
    }
}

fn warn(error: &FetchError) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(
        error,
        "the issuer's keys could not be refreshed; the last ones stay in use"
    );
}

#[cfg(test)]
mod tests;
