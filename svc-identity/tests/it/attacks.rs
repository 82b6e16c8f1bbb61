//! Tokens that the real key signed and that say something wrong: at the gateway, and at each service behind it. Without the
//! key a forgery is refused for its signature, whatever else is wrong with it (`e2e/tests/errors/attacks.rs`), and shows
//! nothing of the other checks.

use std::env;
use std::net::TcpListener;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use e2e::{Answer, Service, Stack, User};
use platform::clock::Timestamp;
use platform::ids::new_id;
use platform::vault::{KEY_BYTES, Vault};
use secrecy::{ExposeSecret as _, SecretBox};
use serde_json::{Value, json};
use svc_identity::store::signing_keys::{SigningKeys, StoredKey};

use crate::crashes::database;

/// One call of each service that needs a token. A customer may make no event: 403 is for a token that was believed.
const DOORS: [(Service, &str, &str); 4] = [
    (Service::Identity, "GET", "/v1/users/me"),
    (Service::Catalog, "POST", "/v1/events"),
    (Service::Checkout, "GET", "/v1/orders"),
    (Service::Mailer, "GET", "/v1/notifications"),
];

/// What the bearer of `token` is answered at each door, by the gateway and past it.
async fn answers(stack: &Stack, token: &str) -> anyhow::Result<Vec<Answer>> {
    let mut answers = Vec::new();
    for (service, method, path) in DOORS {
        for api in [stack.gateway(), stack.service(service)] {
            let call = api.call(method.parse()?, path).token(token);
            answers.push(call.send().await?);
        }
    }
    Ok(answers)
}

async fn is_refused(stack: &Stack, token: &str, what: &str) -> anyhow::Result<()> {
    for answer in answers(stack, token).await? {
        ensure!(answer.status == 401, "{what}: {answer}");
    }
    Ok(())
}

/// The stack's.
pub(crate) fn key_encryption_key() -> anyhow::Result<SecretBox<[u8; KEY_BYTES]>> {
    let key = BASE64_STANDARD.decode(env::var("IDENTITY_KEY_ENCRYPTION_KEY")?.trim())?;
    let key: Option<[u8; KEY_BYTES]> = key.try_into().ok();
    let key = key.context("a key of another length")?;
    Ok(SecretBox::new(Box::new(key)))
}

/// The key that signs in this moment, as the database has it, and its private part.
async fn stored_key(stack: &Stack) -> anyhow::Result<(StoredKey, SecretBox<[u8]>)> {
    let vault = Vault::new(&key_encryption_key()?)?;
    let store = SigningKeys::new(Arc::new(database(stack).await?)).await?;
    let now = Timestamp::now();
    let stored = store.list().await?;
    let mut stored = stored.into_iter().filter(|key| key.signs_from <= now);
    let stored = stored.next_back().context("a key that signs")?;
    let private = vault.open(&stored.key_id, &stored.sealed_private_key)?;
    Ok((stored, private))
}

/// Whoever has the key.
struct Issuer {
    pair: Ed25519KeyPair,
    key_id: String,
    /// The `iss`.
    name: Value,
}

/// `value` with some members replaced, or removed by null.
fn with(mut value: Value, changes: &Value) -> Value {
    if let (Some(all), Some(changes)) = (value.as_object_mut(), changes.as_object()) {
        all.extend(changes.clone());
        all.retain(|_, value| !value.is_null());
    }
    value
}

impl Issuer {
    async fn of(stack: &Stack) -> anyhow::Result<Self> {
        let (stored, private) = stored_key(stack).await?;
        let about = stack.identity().get("/.well-known/openid-configuration");
        Ok(Self {
            pair: Ed25519KeyPair::from_pkcs8(private.expose_secret())?,
            key_id: stored.key_id,
            name: about.send().await?.expect(200)?["issuer"].take(),
        })
    }

    /// Header and claims of a good token of `user`, with some members replaced, or removed by null.
    fn message(&self, user: &User, header: &Value, claims: &Value) -> String {
        let now = Timestamp::now().as_seconds();
        let all_header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": self.key_id});
        let all_claims = json!({
            "iss": self.name, "aud": "ticketing", "sub": user.id, "roles": ["customer"],
            "iat": now, "exp": now + 600, "jti": new_id(), "locale": "en",
        });
        let [header, claims] = [with(all_header, header), with(all_claims, claims)]
            .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        format!("{header}.{claims}")
    }

    /// The same, signed.
    fn token(&self, user: &User, header: &Value, claims: &Value) -> String {
        let message = self.message(user, header, claims);
        let signature = self.pair.sign(message.as_bytes());
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn jwk(&self) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.key_id,
            "x": BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key()),
        })
    }
}

#[tokio::test]
async fn what_the_key_signed_is_believed_as_a_whole_or_not_at_all() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, issuer) = (stack.customer().await?, Issuer::of(&stack).await?);
    let nothing = json!({});
    // Else all that follows would be refused for a mistake of this test.
    let good = issuer.token(&user, &nothing, &nothing);
    for answer in answers(&stack, &good).await? {
        ensure!(
            [200, 403].contains(&answer.status),
            "the good one: {answer}"
        );
    }
    let other_name = format!("{}/", issuer.name.as_str().context("an issuer")?);
    for header in [
        json!({"alg": null}),
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
        json!({"alg": "RS256"}),
        json!({"alg": "ES256"}),
        json!({"typ": null}),
        json!({"typ": "JWT"}),
        json!({"typ": "ticket+jwt"}),
        json!({"kid": null}),
        json!({"kid": "../../../../dev/null"}),
        json!({"kid": "' OR '1'='1"}),
        json!({"crit": ["exp"]}),
        json!({"crit": ["x"], "x": 1}),
    ] {
        let token = issuer.token(&user, &header, &nothing);
        is_refused(&stack, &token, &header.to_string()).await?;
    }
    for claims in [
        json!({"iss": null}),
        json!({"iss": "http://evil.example"}),
        json!({"iss": other_name}),
        json!({"aud": null}),
        json!({"aud": "other"}),
        // What a service asks others with.
        json!({"aud": "ticketing-services", "roles": ["service"]}),
        json!({"exp": null}),
        json!({"exp": "9999999999"}),
        json!({"sub": null}),
        json!({"sub": "alice"}),
        json!({"roles": null}),
        json!({"jti": null}),
    ] {
        let token = issuer.token(&user, &nothing, &claims);
        is_refused(&stack, &token, &claims.to_string()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_whose_time_is_over_is_over_everywhere() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, issuer) = (stack.customer().await?, Issuer::of(&stack).await?);
    // More than the gateway allows for clocks that differ.
    let past = json!({"exp": Timestamp::now().as_seconds() - 60});
    let token = issuer.token(&user, &json!({}), &past);
    for answer in answers(&stack, &token).await? {
        answer.expect_problem(401, "token-expired")?;
    }
    Ok(())
}

#[tokio::test]
async fn nobody_brings_a_key_of_his_own() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, issuer) = (stack.customer().await?, Issuer::of(&stack).await?);
    let stranger = Issuer {
        pair: Ed25519KeyPair::generate()?,
        key_id: issuer.key_id.clone(),
        name: issuer.name.clone(),
    };
    // Whoever looks for a key there is seen.
    let trap = TcpListener::bind("127.0.0.1:0")?;
    trap.set_nonblocking(true)?;
    let url = format!("http://{}/jwks.json", trap.local_addr()?);
    for header in [
        json!({}),
        json!({"jwk": stranger.jwk()}),
        json!({"jwk": stranger.jwk(), "kid": null}),
        json!({"jku": url}),
        json!({"jku": url, "kid": "k2"}),
        json!({"x5u": url}),
        json!({"kid": url}),
    ] {
        let token = stranger.token(&user, &header, &json!({}));
        is_refused(&stack, &token, &header.to_string()).await?;
    }
    ensure!(trap.accept().is_err(), "a key was looked for at {url}");
    Ok(())
}

#[tokio::test]
async fn what_is_public_about_the_key_is_no_secret_of_an_hmac() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, issuer) = (stack.customer().await?, Issuer::of(&stack).await?);
    let public = issuer.pair.public_key().as_ref().to_vec();
    let text = BASE64_URL_SAFE_NO_PAD.encode(&public).into_bytes();
    let jwk = issuer.jwk().to_string().into_bytes();
    for secret in [public, text, jwk, issuer.key_id.clone().into_bytes()] {
        for (alg, hash) in [
            ("HS256", hmac::HMAC_SHA256),
            ("HS384", hmac::HMAC_SHA384),
            ("HS512", hmac::HMAC_SHA512),
        ] {
            let key = hmac::Key::new(hash, &secret);
            // Under its own name, and under ours.
            for header in [json!({"alg": alg}), json!({})] {
                let message = issuer.message(&user, &header, &json!({}));
                let tag = hmac::sign(&key, message.as_bytes());
                let token = format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag));
                is_refused(&stack, &token, alg).await?;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_copy_of_the_database_has_no_private_key() -> anyhow::Result<()> {
    /// Half of the seed, which is all that is secret of a key.
    const PART: usize = 16;
    let (stored, private) = stored_key(&Stack::from_env()).await?;
    let private = private.expose_secret();
    ensure!(private.len() > PART, "{} bytes", private.len());
    let mut parts = private.windows(PART);
    let sealed = &stored.sealed_private_key;
    let is_there = |part: &[u8]| sealed.windows(PART).any(|sealed| sealed == part);
    ensure!(!parts.any(is_there), "a private key is not encrypted");
    Ok(())
}
