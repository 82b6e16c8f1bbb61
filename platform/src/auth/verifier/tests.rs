//! Tests of the module above.

mod attacks;
mod keys;

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
async fn however_many_tokens_were_verified_what_is_remembered_is_bounded() {
    let signer = Signer::new("k1");
    let (issuer, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
    let token = signer.token();
    let known = verifier.verified_at(&token, Timestamp::now()).await;
    let known = known.unwrap();
    // As the verifier remembers them; to sign so many takes minutes.
    for number in 0..2 * MAX_CACHED_TOKENS {
        let hash = digest(&SHA256, &number.to_le_bytes());
        let hash: [u8; 32] = hash.as_ref().try_into().unwrap();
        verifier.verified.insert(hash, Arc::clone(&known));
    }
    verifier.verified.run_pending_tasks();
    let remembered = verifier.verified.entry_count();
    assert!(remembered > MAX_CACHED_TOKENS / 2, "{remembered}");
    assert!(remembered <= MAX_CACHED_TOKENS, "{remembered}");
    // One that was forgotten is verified anew, and a new one as ever.
    for token in [token, signer.sign(&json!({}), &json!({"jti": new_id()}))] {
        assert!(verifier.verify(&token).await.is_ok());
    }
    assert_eq!(issuer.fetches(), 1);
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

#[tokio::test]
async fn tokens_of_who_was_erased_are_over_also_those_that_were_verified() {
    let signer = Signer::new("k1");
    let (_, verifier) = issuer_and_verifier(&[signer.jwk()], AT_ONCE).await;
    let (verified, unknown) = (signer.token(), signer.token());
    let other = signer.sign(&json!({}), &json!({"sub": Uuid::from_u128(8)}));
    assert!(verifier.verify(&verified).await.is_ok());
    verifier.refuse(claims().sub);
    for token in [verified, unknown] {
        let refused = verifier.verify(&token).await;
        assert!(matches!(refused, Err(AuthError::Invalid(_))), "{refused:?}");
    }
    assert!(verifier.verify(&other).await.is_ok());
}
