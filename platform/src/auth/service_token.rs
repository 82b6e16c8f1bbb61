//! The token with which this service asks another one.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use crate::config::ServiceAuthConfig;

/// Longest that fetching a token may take; a request is waiting for it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);
/// A token is replaced so long before it ends: it must live until the request that bears it is checked.
const RENEW_BEFORE_END: Duration = Duration::from_secs(60);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum ServiceTokenError {
    /// The identity service is away.
    #[error("no token for this service: the identity service is away")]
    Away(#[from] reqwest::Error),
    /// It does not know this service under its secret.
    #[error(
        "no token for this service: the identity service answers {0}; is SERVICE_SECRET the one that it knows?"
    )]
    Refused(StatusCode),
}

/// Gets tokens for this service from the identity service, and keeps the last one while it is good.
#[derive(Debug)]
pub struct ServiceTokens {
    client: reqwest::Client,
    url: Url,
    service: String,
    secret: SecretString,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    token: SecretString,
    good_until: Instant,
}

#[derive(Serialize)]
struct Asked<'a> {
    service: &'a str,
    secret: &'a str,
}

#[derive(Deserialize)]
struct Given {
    access_token: SecretString,
    expires_in: u64,
}

impl ServiceTokens {
    /// For the service called `service`, such as `svc-catalog`.
    pub fn new(service: &str, config: &ServiceAuthConfig) -> Result<Self, reqwest::Error> {
        Ok(Self {
            // A redirect would take the secret to where nobody has configured it.
            client: reqwest::Client::builder()
                .timeout(FETCH_TIMEOUT)
                .redirect(Policy::none())
                .build()?,
            url: config.token_url.clone(),
            service: service.to_owned(),
            secret: config.secret.clone(),
            kept: Mutex::default(),
        })
    }

    /// A token that is good for another minute at least.
    pub async fn token(&self) -> Result<SecretString, ServiceTokenError> {
        // Held while fetching: those who come meanwhile get the same token.
        let mut kept = self.kept.lock().await;
        if let Some(kept) = kept
            .as_ref()
            .filter(|kept| kept.good_until > Instant::now())
        {
            return Ok(kept.token.clone());
        }
        let asked = Instant::now();
        let body = Asked {
            service: &self.service,
            secret: self.secret.expose_secret(),
        };
        let answer = self
            .client
            .post(self.url.clone())
            .json(&body)
            .send()
            .await?;
        if !answer.status().is_success() {
            return Err(ServiceTokenError::Refused(answer.status()));
        }
        let given: Given = answer.json().await?;
        let lives = Duration::from_secs(given.expires_in);
        *kept = Some(Kept {
            token: given.access_token.clone(),
            good_until: asked + lives.saturating_sub(RENEW_BEFORE_END),
        });
        Ok(given.access_token)
    }

    /// Forgets the kept token: somebody has refused it.
    pub async fn forget(&self) {
        *self.kept.lock().await = None;
    }
}
