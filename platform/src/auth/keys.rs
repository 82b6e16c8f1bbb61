//! The issuer's public keys (JWKS, RFC 7517): fetched at first need, refreshed all the time, kept while the issuer is
//! away.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

/// Longest that one fetch may take; a request may be waiting for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer that is read.
const MAX_JWKS_BYTES: usize = 64 * 1024;
/// Most keys that are kept: one in use, some that rotate in or out.
const MAX_KEYS: usize = 32;
/// Bytes of an Ed25519 public key.
const ED25519_KEY_BYTES: usize = 32;

/// How often keys are fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// The interval of the refresh in the background.
    pub(super) refresh: Duration,
    /// The shortest time between two fetches for a key that is not known. Anyone can send tokens with invented key
    /// ids; they must not become a load on the issuer.
    pub(super) unknown_key: Duration,
    /// The same while there is no key at all and nobody can be let in.
    pub(super) no_keys: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            refresh: Duration::from_secs(60),
            unknown_key: Duration::from_secs(5),
            no_keys: Duration::from_millis(500),
        }
    }
}

/// The keys of one fetch.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: HashMap<String, Key>,
    /// Counts the fetches that took a key away. What was verified under another generation must be verified again.
    pub(super) generation: u64,
}

#[derive(Debug)]
struct Key {
    bytes: [u8; ED25519_KEY_BYTES],
    decoding: DecodingKey,
}

impl KeySet {
    pub(super) fn get(&self, kid: &str) -> Option<&DecodingKey> {
        self.keys.get(kid).map(|key| &key.decoding)
    }

    /// Whether each key of `self` is in `next`, unchanged.
    fn is_within(&self, next: &HashMap<String, Key>) -> bool {
        self.keys
            .iter()
            .all(|(kid, key)| next.get(kid).is_some_and(|other| other.bytes == key.bytes))
    }
}

/// The keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the keys cannot be fetched")]
    Http(#[from] reqwest::Error),
    #[error("the keys cannot be fetched: the answer is larger than {MAX_JWKS_BYTES} bytes")]
    TooLarge,
    #[error("the keys cannot be read")]
    Json(#[from] serde_json::Error),
    #[error("the set has no key that can be used")]
    NoKeys,
}

/// The keys as known now, and how they are fetched.
#[derive(Debug)]
pub(super) struct Keys {
    url: Url,
    http: reqwest::Client,
    pace: Pace,
    current: RwLock<Option<Arc<KeySet>>>,
    /// Held during a fetch, so that a thousand requests at start cause one. When the last one ended.
    last_fetch: Mutex<Option<Instant>>,
}

impl Keys {
    pub(super) fn new(url: Url, pace: Pace) -> Result<Self, reqwest::Error> {
        let mut http = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            // A redirect could lead to keys of somebody else.
            .redirect(reqwest::redirect::Policy::none());
        if url.scheme() == "http" {
            // Within a cluster there is no TLS, and a small image without certificates must not fail to start for it.
            http = http.tls_certs_only([]);
        }
        let http = http.build()?;
        Ok(Self {
            url,
            http,
            pace,
            current: RwLock::new(None),
            last_fetch: Mutex::new(None),
        })
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Fetches the keys unless that was done a moment ago, which counts as done.
    pub(super) async fn fetch_unless_recent(&self) -> Result<(), FetchError> {
        let mut last_fetch = self.last_fetch.lock().await;
        let pause = match self.current() {
            Some(_) => self.pace.unknown_key,
            None => self.pace.no_keys,
        };
        if last_fetch.is_some_and(|at| at.elapsed() < pause) {
            return Ok(());
        }
        let fetched = self.fetch_now().await;
        *last_fetch = Some(Instant::now());
        fetched
    }

    /// Fetches the keys.
    pub(super) async fn refresh(&self) -> Result<(), FetchError> {
        let mut last_fetch = self.last_fetch.lock().await;
        let fetched = self.fetch_now().await;
        *last_fetch = Some(Instant::now());
        fetched
    }

    /// Only under the lock of `last_fetch`: two fetches at a time could end in the wrong order.
    async fn fetch_now(&self) -> Result<(), FetchError> {
        let mut response = self
            .http
            .get(self.url.clone())
            .send()
            .await?
            .error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_JWKS_BYTES {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let keys = parse(&body)?;
        if keys.is_empty() {
            // An issuer that lost its keys is away, for us; those that were good a minute ago still are.
            return Err(FetchError::NoKeys);
        }
        let generation = match self.current() {
            Some(old) if old.is_within(&keys) => old.generation,
            Some(old) => old.generation + 1,
            None => 0,
        };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Arc::new(KeySet { keys, generation }));
        Ok(())
    }
}

/// The Ed25519 keys for signatures in a set. Others are skipped, as RFC 7517 asks: the issuer may have uses for them.
fn parse(body: &[u8]) -> Result<HashMap<String, Key>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Jwks {
        keys: Vec<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct Jwk {
        kty: String,
        crv: String,
        x: String,
        kid: String,
        #[serde(rename = "use")]
        usage: Option<String>,
        alg: Option<String>,
    }

    let jwks: Jwks = serde_json::from_slice(body)?;
    let keys = jwks.keys.into_iter().take(MAX_KEYS).filter_map(|jwk| {
        let jwk: Jwk = serde_json::from_value(jwk).ok()?;
        let usable = jwk.kty == "OKP"
            && jwk.crv == "Ed25519"
            && jwk.usage.is_none_or(|usage| usage == "sig")
            && jwk.alg.is_none_or(|alg| alg == "EdDSA" || alg == "Ed25519");
        let bytes: [u8; ED25519_KEY_BYTES] = URL_SAFE_NO_PAD.decode(jwk.x).ok()?.try_into().ok()?;
        let decoding = DecodingKey::from_ed_der(&bytes);
        usable.then_some((jwk.kid, Key { bytes, decoding }))
    });
    Ok(keys.collect())
}
