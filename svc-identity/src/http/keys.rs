//! The public keys of access tokens, and where they are.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use platform::clock::Timestamp;
use platform::http::Json;
use serde::Serialize;

use crate::app::App;

/// How long a key set may be kept. A new key is published long before it signs, so that nobody has to ask for it.
const CACHE_CONTROL: &str = "public, max-age=60";
const JWKS_PATH: &str = "/.well-known/jwks.json";

/// A set of keys (RFC 7517).
#[derive(Serialize, utoipa::ToSchema)]
pub struct JwksOut {
    keys: Vec<JwkOut>,
}

/// An Ed25519 public key (RFC 8037).
#[derive(Serialize, utoipa::ToSchema)]
pub struct JwkOut {
    #[schema(example = "OKP")]
    kty: &'static str,
    #[schema(example = "Ed25519")]
    crv: &'static str,
    /// The key in base64url.
    x: String,
    /// The id of the key: its thumbprint (RFC 7638).
    kid: String,
    #[serde(rename = "use")]
    #[schema(example = "sig")]
    usage: &'static str,
    #[schema(example = "EdDSA")]
    alg: &'static str,
}

/// What a library needs to verify our tokens.
#[derive(Serialize, utoipa::ToSchema)]
pub struct OpenIdConfigurationOut {
    /// The `iss` of every token.
    issuer: String,
    /// Where the keys are.
    jwks_uri: String,
    id_token_signing_alg_values_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    /// None: people sign in with `POST /v1/sessions`.
    response_types_supported: [&'static str; 0],
}

/// The keys that verify access tokens
#[utoipa::path(
    operation_id = "list_keys",
    get, path = "/.well-known/jwks.json", tag = "keys",
    responses((status = 200, body = JwksOut))
)]
pub async fn jwks(State(app): State<App>) -> impl IntoResponse {
    let ring = app.tokens.keys();
    let keys = ring.published(Timestamp::now()).map(|key| JwkOut {
        kty: "OKP",
        crv: "Ed25519",
        x: URL_SAFE_NO_PAD.encode(key.public_key),
        kid: key.key_id.clone(),
        usage: "sig",
        alg: "EdDSA",
    });
    let jwks = JwksOut {
        keys: keys.collect(),
    };
    ([(header::CACHE_CONTROL, CACHE_CONTROL)], Json(jwks))
}

/// Where to find the keys
#[utoipa::path(
    operation_id = "show_openid_configuration",
    get, path = "/.well-known/openid-configuration", tag = "keys",
    responses((status = 200, body = OpenIdConfigurationOut))
)]
pub async fn openid_configuration(State(app): State<App>) -> impl IntoResponse {
    let issuer = app.tokens.issuer();
    let configuration = OpenIdConfigurationOut {
        jwks_uri: format!("{issuer}{JWKS_PATH}"),
        issuer: issuer.to_owned(),
        id_token_signing_alg_values_supported: ["EdDSA"],
        subject_types_supported: ["public"],
        response_types_supported: [],
    };
    (
        [(header::CACHE_CONTROL, CACHE_CONTROL)],
        Json(configuration),
    )
}
