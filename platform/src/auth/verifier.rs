//! Verifies access tokens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jsonwebtoken::{Validation, decode, decode_header};
use moka::sync::Cache;

use super::keys::{FetchError, KeySet, Keys, Pace};
use super::{ALGORITHM, AUDIENCE, AccessClaims, Caller, TOKEN_TYPE};
use crate::clock::Timestamp;
use crate::config::AuthConfig;
use crate::http::{Code, Problem};

/// Longest token that is looked at.
const MAX_TOKEN_LEN: usize = 4_096;
/// Most verified tokens that are remembered, about 200 bytes each.
const MAX_CACHED_TOKENS: u64 = 50_000;
/// How long a verified token is remembered at most; it ends earlier when the token does.
const CACHE_TTL: Duration = Duration::from_secs(900);

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
    refreshing: AtomicBool,
}

#[derive(Debug)]
struct Verified {
    caller: Caller,
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
        validation.set_audience(&[AUDIENCE]);
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
            refreshing: AtomicBool::new(false),
        }))
    }

    /// Who the bearer of `token` is.
    pub async fn verify(self: &Arc<Self>, token: &str) -> Result<Caller, AuthError> {
        self.verify_at(token, Timestamp::now()).await
    }

    async fn verify_at(self: &Arc<Self>, token: &str, now: Timestamp) -> Result<Caller, AuthError> {
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
        Ok(verified.caller.clone())
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
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use axum::extract::{FromRef, FromRequestParts as _};
    use axum::http::{Request, StatusCode};
    use axum::routing::get;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use crate::auth::{OptionalCaller, Role, RoleSet};
    use crate::ids::new_id;

    const ISSUER: &str = "http://localhost:8080";
    /// Nothing is fetched in the background, everything at once when asked for.
    const AT_ONCE: Pace = Pace {
        refresh: Duration::from_secs(3_600),
        unknown_key: Duration::ZERO,
        no_keys: Duration::ZERO,
    };

    /// A key of an issuer.
    struct Signer {
        kid: &'static str,
        pair: Ed25519KeyPair,
        encoding: EncodingKey,
    }

    impl Signer {
        fn new(kid: &'static str) -> Self {
            let pair = Ed25519KeyPair::generate().unwrap();
            let encoding = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
            Self {
                kid,
                pair,
                encoding,
            }
        }

        fn public(&self) -> Vec<u8> {
            self.pair.public_key().as_ref().to_vec()
        }

        fn jwk(&self) -> Value {
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "kid": self.kid, "x": URL_SAFE_NO_PAD.encode(self.public()),
            })
        }

        fn header(&self) -> Header {
            Header {
                typ: Some(TOKEN_TYPE.to_owned()),
                kid: Some(self.kid.to_owned()),
                ..Header::new(ALGORITHM)
            }
        }

        fn token(&self) -> String {
            self.sign(&json!({}), &json!({}))
        }

        /// A good token with some members of its header and claims replaced, or removed by null.
        fn sign(&self, header: &Value, claims: &Value) -> String {
            let mut all_header = serde_json::to_value(self.header()).unwrap();
            let mut all_claims = serde_json::to_value(self::claims()).unwrap();
            for (all, changes) in [(&mut all_header, header), (&mut all_claims, claims)] {
                let all = all.as_object_mut().unwrap();
                for (name, value) in changes.as_object().unwrap() {
                    all.insert(name.clone(), value.clone());
                }
                all.retain(|_, value| !value.is_null());
            }
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let message = format!("{}.{}", part(&all_header), part(&all_claims));
            let signature = self.pair.sign(message.as_bytes());
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    fn now() -> i64 {
        Timestamp::now().as_seconds()
    }

    fn claims() -> AccessClaims {
        AccessClaims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: Uuid::from_u128(7),
            roles: RoleSet::from([Role::Customer, Role::Organizer]),
            iat: now(),
            exp: now() + 900,
            jti: new_id(),
            locale: "fr".to_owned(),
        }
    }

    /// An issuer that answers with these keys, or is away for `None`.
    #[derive(Clone, Default)]
    struct Issuer {
        keys: Arc<Mutex<Option<Value>>>,
        fetches: Arc<AtomicUsize>,
    }

    impl Issuer {
        async fn start(&self) -> AuthConfig {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
            let issuer = self.clone();
            let router = axum::Router::new().route(
                "/jwks.json",
                get(async move || {
                    issuer.fetches.fetch_add(1, Ordering::SeqCst);
                    let keys = issuer.keys.lock().unwrap().clone();
                    keys.map(axum::Json).ok_or(StatusCode::SERVICE_UNAVAILABLE)
                }),
            );
            tokio::spawn(async move { axum::serve(listener, router).await });
            AuthConfig {
                issuer: ISSUER.to_owned(),
                jwks_url: url.parse().unwrap(),
            }
        }

        fn publish(&self, keys: &[Value]) {
            *self.keys.lock().unwrap() = Some(json!({ "keys": keys }));
        }

        fn go_away(&self) {
            *self.keys.lock().unwrap() = None;
        }

        fn fetches(&self) -> usize {
            self.fetches.load(Ordering::SeqCst)
        }
    }

    async fn issuer_and_verifier(keys: &[Value], pace: Pace) -> (Issuer, Arc<Verifier>) {
        let issuer = Issuer::default();
        issuer.publish(keys);
        let verifier = Verifier::with_pace(&issuer.start().await, pace).unwrap();
        (issuer, verifier)
    }

    #[tokio::test]
    async fn a_good_token_names_its_bearer() {
        let signer = Signer::new("k1");
        let (issuer, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
        let claims = claims();
        let token = encode(&signer.header(), &claims, &signer.encoding).unwrap();
        for _ in 0..3 {
            let caller = verifier.verify(&token).await.unwrap();
            assert_eq!(caller.user_id, claims.sub);
            assert_eq!(caller.token_id, claims.jti);
            assert_eq!(caller.locale, "fr");
            assert!(caller.require(&[Role::Gate, Role::Organizer]).is_ok());
            let refused = caller.require(&[Role::Gate, Role::Admin]).unwrap_err();
            assert_eq!(refused.code(), Code::Forbidden);
        }
        assert_eq!(issuer.fetches(), 1);
    }

    #[tokio::test]
    async fn no_other_token_lets_anyone_in() {
        let signer = Signer::new("k1");
        let stranger = Signer::new("k1");
        let (_, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let good = signer.token();
        let (message, signature) = good.rsplit_once('.').unwrap();
        let payload = message.split_once('.').unwrap().1;
        // The old trick: the public key as the secret of an HMAC.
        let hs256 = encode(
            &Header {
                alg: Algorithm::HS256,
                ..signer.header()
            },
            &claims(),
            &EncodingKey::from_secret(&signer.public()),
        )
        .unwrap();
        let none = part(json!({"alg": "none", "typ": TOKEN_TYPE, "kid": "k1"}));

        let sign = |header: Value, claims: Value| signer.sign(&header, &claims);
        for (what, token) in [
            ("empty", String::new()),
            ("not a token", "abc".to_owned()),
            ("dots", "..".to_owned()),
            ("alg none", format!("{none}.{payload}.")),
            ("alg none, signed", format!("{none}.{payload}.{signature}")),
            ("HS256 with the public key", hs256),
            ("no signature", format!("{message}.")),
            ("four parts", format!("{good}.{signature}")),
            ("too long", format!("{good}{}", "A".repeat(MAX_TOKEN_LEN))),
            ("a stranger's key", stranger.token()),
            ("an unknown kid", sign(json!({"kid": "k2"}), json!({}))),
            ("no kid", sign(json!({"kid": null}), json!({}))),
            ("typ JWT", sign(json!({"typ": "JWT"}), json!({}))),
            ("no typ", sign(json!({"typ": null}), json!({}))),
            ("crit", sign(json!({"crit": ["exp"]}), json!({}))),
            (
                "an embedded key",
                stranger.sign(&json!({"jwk": stranger.jwk()}), &json!({})),
            ),
            (
                "another issuer",
                sign(json!({}), json!({"iss": "http://localhost:8080/"})),
            ),
            ("no issuer", sign(json!({}), json!({"iss": null}))),
            (
                "another audience",
                sign(json!({}), json!({"aud": "reporting"})),
            ),
            ("no audience", sign(json!({}), json!({"aud": null}))),
            ("no exp", sign(json!({}), json!({"exp": null}))),
            ("exp as text", sign(json!({}), json!({"exp": "9999999999"}))),
            ("no sub", sign(json!({}), json!({"sub": null}))),
            ("sub is no uuid", sign(json!({}), json!({"sub": "alice"}))),
            ("no roles", sign(json!({}), json!({"roles": null}))),
            ("no jti", sign(json!({}), json!({"jti": null}))),
        ] {
            let refused = verifier.verify(&token).await;
            assert!(
                matches!(refused, Err(AuthError::Invalid(_))),
                "{what}: {refused:?}"
            );
        }
        assert!(verifier.verify(&good).await.is_ok());
    }

    #[tokio::test]
    async fn any_flipped_bit_is_noticed() {
        let signer = Signer::new("k1");
        let (_, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
        let good = signer.token();
        assert!(verifier.verify(&good).await.is_ok());
        for at in 0..good.len() {
            for bit in 0..7 {
                let mut bytes = good.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let token = String::from_utf8(bytes).unwrap();
                assert!(
                    verifier.verify(&token).await.is_err(),
                    "bit {bit} of byte {at}"
                );
            }
        }
    }

    #[tokio::test]
    async fn an_expired_token_is_expired_and_a_forged_one_is_not() {
        let signer = Signer::new("k1");
        let (_, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
        let past = json!({"exp": now() - 1});
        let expired = signer.sign(&json!({}), &past);
        for _ in 0..2 {
            assert!(matches!(
                verifier.verify(&expired).await,
                Err(AuthError::Expired)
            ));
        }
        let forged = Signer::new("k1").sign(&json!({}), &past);
        assert!(matches!(
            verifier.verify(&forged).await,
            Err(AuthError::Invalid(_))
        ));
    }

    #[tokio::test]
    async fn a_remembered_token_ends_when_it_expires() {
        let signer = Signer::new("k1");
        let (_, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
        let exp = now() + 900;
        let token = signer.sign(&json!({}), &json!({"exp": exp}));
        for _ in 0..2 {
            let at = |seconds| verifier.verify_at(&token, Timestamp::from_seconds(seconds));
            assert!(at(exp - 1).await.is_ok());
            assert!(matches!(at(exp).await, Err(AuthError::Expired)));
        }
    }

    #[tokio::test]
    async fn the_last_keys_stay_while_the_issuer_is_away() {
        let signer = Signer::new("k1");
        let (issuer, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
        issuer.go_away();
        let nobody_knows = verifier.verify(&signer.token()).await.unwrap_err();
        assert_eq!(Problem::from(nobody_knows).status(), 503);

        issuer.publish(&[signer.jwk()]);
        assert!(verifier.verify(&signer.token()).await.is_ok());

        for lost in [None, Some(json!({"keys": []})), Some(json!("nonsense"))] {
            *issuer.keys.lock().unwrap() = lost;
            assert!(verifier.keys.refresh().await.is_err());
            assert!(verifier.verify(&signer.token()).await.is_ok());
        }
        let unknown = verifier.verify(&Signer::new("k2").token()).await;
        assert!(matches!(unknown, Err(AuthError::Invalid(_))));
    }

    #[tokio::test]
    async fn a_new_key_is_found_and_a_removed_one_forgotten() {
        let (old, new) = (Signer::new("old"), Signer::new("new"));
        let (issuer, verifier) = issuer_and_verifier(&[old.jwk()], AT_ONCE).await;
        let token = old.token();
        assert!(verifier.verify(&token).await.is_ok());

        issuer.publish(&[old.jwk(), new.jwk()]);
        assert!(verifier.verify(&new.token()).await.is_ok());
        assert!(verifier.verify(&token).await.is_ok());

        // Also for a token that was verified before.
        issuer.publish(&[new.jwk()]);
        verifier.keys.refresh().await.unwrap();
        assert!(matches!(
            verifier.verify(&token).await,
            Err(AuthError::Invalid(_))
        ));
    }

    #[tokio::test]
    async fn invented_key_ids_do_not_burden_the_issuer() {
        let signer = Signer::new("k1");
        let pace = Pace {
            unknown_key: Duration::from_secs(3_600),
            ..AT_ONCE
        };
        let (issuer, verifier) = issuer_and_verifier(&[signer.jwk()], pace).await;
        assert!(verifier.verify(&signer.token()).await.is_ok());
        for _ in 0..20 {
            let token = signer.sign(&json!({"kid": new_id()}), &json!({}));
            assert!(verifier.verify(&token).await.is_err());
        }
        assert_eq!(issuer.fetches(), 1);
    }

    #[tokio::test]
    async fn a_thousand_first_requests_fetch_once() {
        let signer = Signer::new("k1");
        let pace = Pace {
            unknown_key: Duration::from_secs(3_600),
            ..AT_ONCE
        };
        let (issuer, verifier) = issuer_and_verifier(&[signer.jwk()], pace).await;
        let all = (0..1_000).map(|_| {
            let (verifier, token) = (Arc::clone(&verifier), signer.token());
            tokio::spawn(async move { verifier.verify(&token).await.is_ok() })
        });
        for ok in futures::future::join_all(all).await {
            assert!(ok.unwrap());
        }
        assert_eq!(issuer.fetches(), 1);
    }

    #[tokio::test]
    async fn keys_are_refreshed_in_the_background() {
        let (old, new) = (Signer::new("old"), Signer::new("new"));
        let pace = Pace {
            refresh: Duration::from_millis(20),
            unknown_key: Duration::from_secs(3_600),
            ..AT_ONCE
        };
        let (issuer, verifier) = issuer_and_verifier(&[old.jwk()], pace).await;
        assert!(verifier.verify(&old.token()).await.is_ok());
        issuer.publish(&[old.jwk(), new.jwk()]);
        let found = async {
            while verifier.verify(&new.token()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), found)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn keys_that_cannot_be_used_are_skipped() {
        let signer = Signer::new("k1");
        let with = |name: &str, value: &str| {
            let mut jwk = Signer::new("other").jwk();
            jwk[name] = json!(value);
            jwk
        };
        let keys = [
            json!({"kty": "RSA", "kid": "other", "n": "AQAB", "e": "AQAB"}),
            with("use", "enc"),
            with("alg", "ES256"),
            with("crv", "X25519"),
            with("x", "AQAB"),
            signer.jwk(),
        ];
        let (_, verifier) = issuer_and_verifier(&keys, AT_ONCE).await;
        assert!(verifier.verify(&signer.token()).await.is_ok());
        let keys = verifier.keys.current().unwrap();
        assert!(keys.get("k1").is_some() && keys.get("other").is_none());
    }

    #[derive(Clone)]
    struct App(Arc<Verifier>);

    impl FromRef<App> for Arc<Verifier> {
        fn from_ref(app: &App) -> Self {
            Self::clone(&app.0)
        }
    }

    #[tokio::test]
    async fn the_extractor_wants_one_bearer_token() {
        let signer = Signer::new("k1");
        let (_, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
        let app = App(verifier);
        let good = format!("Bearer {}", signer.token());
        let small = format!("bearer {}", signer.token());
        let expired = format!("Bearer {}", signer.sign(&json!({}), &json!({"exp": 1})));
        let bare = signer.token();
        let unauthenticated = Err(Code::Unauthenticated);
        for (values, caller, optional) in [
            (&[][..], unauthenticated, Ok(false)),
            (&[&*good][..], Ok(true), Ok(true)),
            (&[&*small][..], Ok(true), Ok(true)),
            (&[&*good, &*good][..], unauthenticated, unauthenticated),
            (
                &[&*expired][..],
                Err(Code::TokenExpired),
                Err(Code::TokenExpired),
            ),
            (&[&*bare][..], unauthenticated, unauthenticated),
            (&["Basic YTpi"][..], unauthenticated, unauthenticated),
            (&["Bearer "][..], unauthenticated, unauthenticated),
            (&[""][..], unauthenticated, unauthenticated),
        ] {
            let mut request = Request::get("/");
            for value in values {
                request = request.header("authorization", *value);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let code = |problem: Problem| problem.code();
            let found = Caller::from_request_parts(&mut parts, &app).await;
            assert_eq!(found.map(|_| true).map_err(code), caller, "{values:?}");
            let found = OptionalCaller::from_request_parts(&mut parts, &app).await;
            assert_eq!(
                found.map(|found| found.0.is_some()).map_err(code),
                optional,
                "{values:?}"
            );
        }
    }
}
