//! Who calls.

use std::env;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::{Role, Stack};
use jsonwebtoken::{EncodingKey, Header, encode};
use platform::auth::{ALGORITHM, AccessClaims, SERVICE_AUDIENCE, TOKEN_TYPE, service_id};
use platform::clock::Timestamp;
use platform::ids::new_id;
use platform::vault::{KEY_BYTES, Vault};
use scylla::client::session_builder::SessionBuilder;
use scylla::value::CqlTimestamp;
use secrecy::{ExposeSecret as _, SecretBox};

/// What a caller has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Caller {
    /// No token.
    Nobody,
    /// A token, and these roles beside that of a customer, which everyone has.
    Person(&'static [Role]),
    /// A token as this service has it.
    Service(&'static str),
}

use Caller::{Nobody, Person, Service};

/// The columns of the page.
pub(crate) const CALLERS: [(&str, Caller); 10] = [
    ("nobody", Nobody),
    ("customer", Person(&[])),
    ("other customer", Person(&[])),
    ("organizer", Person(&[Role::Organizer])),
    ("other organizer", Person(&[Role::Organizer])),
    ("gate", Person(&[Role::Gate])),
    ("support", Person(&[Role::Support])),
    ("admin", Person(&[Role::Admin])),
    ("svc-catalog", Service("svc-catalog")),
    ("svc-identity", Service("svc-identity")),
];
/// Whose orders and mails the rows are about.
pub(crate) const CUSTOMER: usize = 1;
/// Whose events the rows are about.
pub(crate) const ORGANIZER: usize = 3;

/// The token of a service.
pub(crate) async fn token_of(stack: &Stack, service: &str) -> anyhow::Result<String> {
    match service {
        "svc-catalog" => stack.service_token().await,
        "svc-identity" => token_of_identity(stack).await,
        other => bail!("nobody knows how {other} gets a token"),
    }
}

/// svc-identity gives itself what it asks others with, and nobody else: this signs one as it does, with the key of the stack.
async fn token_of_identity(stack: &Stack) -> anyhow::Result<String> {
    const KEYS: &str = "SELECT key_id, sealed_private_key, signs_from FROM signing_keys \
         WHERE purpose = 'access-token'";
    let key = BASE64_STANDARD.decode(env::var("IDENTITY_KEY_ENCRYPTION_KEY")?.trim())?;
    let key: Option<[u8; KEY_BYTES]> = key.try_into().ok();
    let vault = Vault::new(&SecretBox::new(Box::new(key.context("a key")?)))?;
    let database = SessionBuilder::new()
        .known_nodes(stack.cql_nodes.split(','))
        .use_keyspace("identity", false)
        .build()
        .await?;
    let keys = database.query_unpaged(KEYS, ()).await?;
    let keys = keys.into_rows_result()?;
    let now = Timestamp::now();
    let mut signs = None;
    for key in keys.rows::<(String, Vec<u8>, CqlTimestamp)>()? {
        let (key_id, sealed, signs_from) = key?;
        if signs_from.0 <= now.as_millis() {
            signs = Some((key_id, sealed));
        }
    }
    let (key_id, sealed) = signs.context("a key that signs")?;
    let private = vault.open(&key_id, &sealed)?;
    let about = stack.identity().get("/.well-known/openid-configuration");
    let issuer = about.send().await?.expect(200)?["issuer"].take();
    let claims = AccessClaims {
        iss: issuer.as_str().context("an issuer")?.to_owned(),
        aud: SERVICE_AUDIENCE.to_owned(),
        sub: service_id("svc-identity"),
        roles: [Role::Service].into(),
        iat: now.as_seconds(),
        exp: now.as_seconds() + 600,
        jti: new_id(),
        locale: String::new(),
    };
    let mut header = Header::new(ALGORITHM);
    header.typ = Some(TOKEN_TYPE.to_owned());
    header.kid = Some(key_id);
    let key = EncodingKey::from_ed_der(private.expose_secret());
    Ok(encode(&header, &claims, &key)?)
}
