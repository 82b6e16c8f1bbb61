//! Tokens for our own services: not in the API document and not at the gateway.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use platform::clock::Timestamp;
use platform::http::{Code, Json, Problem};
use platform::ids::new_id;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::domain::key_ring::ACCESS_TOKEN_LIFETIME;

/// Which service asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceTokenIn {
    /// Its name, such as `svc-catalog`.
    service: String,
    secret: SecretString,
}

/// What it asks others with.
#[derive(Serialize)]
pub struct ServiceTokenOut {
    /// For `Authorization: Bearer …` on internal routes; every other one refuses it.
    access_token: String,
    token_type: &'static str,
    /// Seconds until it ends.
    expires_in: u64,
}

/// `POST /v1/service-tokens`: 401 `bad-credentials` for a wrong name and a wrong secret alike.
pub async fn issue(
    State(app): State<App>,
    Json(asked): Json<ServiceTokenIn>,
) -> Result<impl IntoResponse, Problem> {
    let service_id = app
        .service_secrets
        .check(&asked.service, &asked.secret)
        .ok_or(Code::BadCredentials)?;
    let access_token = app
        .tokens
        .service_token(service_id, new_id(), Timestamp::now())
        .map_err(Problem::internal)?;
    let out = ServiceTokenOut {
        access_token,
        token_type: "Bearer",
        expires_in: ACCESS_TOKEN_LIFETIME.as_secs(),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(out)))
}
