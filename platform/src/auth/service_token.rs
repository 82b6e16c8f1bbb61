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
/// So long after a failure nobody asks: those who waited for it would each wait as long again.
const REST: Duration = Duration::from_secs(1);

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
    /// It failed less than a second ago.
    #[error("no token for this service: there was none a moment ago")]
    Resting,
}

/// Gets tokens for this service from the identity service, and keeps the last one while it is good.
#[derive(Debug)]
pub struct ServiceTokens {
    client: reqwest::Client,
    url: Url,
    service: String,
    secret: SecretString,
    last: Mutex<Last>,
}

/// How it went the last time.
#[derive(Debug, Default)]
enum Last {
    #[default]
    NotAsked,
    Given {
        token: SecretString,
        good_until: Instant,
    },
    Failed(Instant),
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
            last: Mutex::default(),
        })
    }

    /// A token that is good for another minute at least.
    pub async fn token(&self) -> Result<SecretString, ServiceTokenError> {
        // Held while fetching: those who come meanwhile get the same token.
        let mut last = self.last.lock().await;
        match &*last {
            Last::Given { token, good_until } if *good_until > Instant::now() => {
                return Ok(token.clone());
            }
            Last::Failed(at) if at.elapsed() < REST => return Err(ServiceTokenError::Resting),
            _ => {}
        }
        let asked = Instant::now();
        match self.fetch().await {
            Ok(given) => {
                let lives = Duration::from_secs(given.expires_in);
                *last = Last::Given {
                    token: given.access_token.clone(),
                    good_until: asked + lives.saturating_sub(RENEW_BEFORE_END),
                };
                Ok(given.access_token)
            }
            Err(error) => {
                *last = Last::Failed(Instant::now());
                Err(error)
            }
        }
    }

    async fn fetch(&self) -> Result<Given, ServiceTokenError> {
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
        Ok(answer.json().await?)
    }

    /// Forgets the kept token: somebody has refused it.
    pub async fn forget(&self) {
        *self.last.lock().await = Last::NotAsked;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Router;
    use axum::routing::post;

    use super::*;

    #[tokio::test]
    async fn those_who_come_right_after_a_failure_do_not_ask_again() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let answer = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            async { StatusCode::SERVICE_UNAVAILABLE }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = axum::serve(listener, Router::new().route("/", post(answer)));
        tokio::spawn(server.into_future());
        let config = ServiceAuthConfig {
            token_url: url.parse().unwrap(),
            secret: SecretString::from("secret"),
        };
        let tokens = ServiceTokens::new("svc-test", &config).unwrap();

        let first = tokens.token().await;
        assert!(matches!(first, Err(ServiceTokenError::Refused(_))));
        let (second, third) = tokio::join!(tokens.token(), tokens.token());
        assert!(matches!(second, Err(ServiceTokenError::Resting)));
        assert!(matches!(third, Err(ServiceTokenError::Resting)));
        assert_eq!(asked.load(Ordering::SeqCst), 1);

        *tokens.last.lock().await = Last::Failed(Instant::now() - REST);
        let later = tokens.token().await;
        assert!(matches!(later, Err(ServiceTokenError::Refused(_))));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}
