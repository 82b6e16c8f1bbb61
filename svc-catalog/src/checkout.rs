//! svc-checkout, which alone knows what is held and sold: it is asked before an event sells less.

use std::time::Duration;

use platform::auth::{ServiceTokenError, ServiceTokens};
use platform::context::RequestContext;
use platform::http::header::{TRACEPARENT, X_REQUEST_ID};
use reqwest::StatusCode;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use crate::config::CheckoutConfig;
use crate::domain::event::Lowered;

/// This service's name at the identity service.
const SERVICE: &str = "svc-catalog";
/// Longest wait for an answer; below the time after which the box office ignores a command.
const TIMEOUT: Duration = Duration::from_secs(4);

/// What the box office says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// No more than this is sold from now on.
    Granted,
    /// More is held and sold; says how much.
    BelowSold(Option<String>),
    /// It knows a newer version of the event.
    Outdated,
    /// It does not know the event yet.
    NotKnown,
}

/// Why there is no answer. The quantities may have been granted all the same.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// No token.
    #[error(transparent)]
    Token(#[from] ServiceTokenError),
    /// It cannot be reached.
    #[error("svc-checkout is away")]
    Away(#[from] reqwest::Error),
    /// It answers something else.
    #[error("svc-checkout answers {0}")]
    Unexpected(StatusCode),
}

#[derive(Serialize)]
struct QuantitiesOut {
    version: i64,
    quantities: Vec<QuantityOut>,
}

#[derive(Serialize)]
struct QuantityOut {
    ticket_type_id: Uuid,
    quantity: i64,
}

#[derive(Deserialize)]
struct ProblemIn {
    code: String,
    detail: Option<String>,
}

/// The way to svc-checkout.
pub struct Checkout {
    client: reqwest::Client,
    url: Url,
    tokens: ServiceTokens,
}

impl Checkout {
    /// Connects lazily.
    pub fn new(config: &CheckoutConfig) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: reqwest::Client::builder()
                .timeout(TIMEOUT)
                .redirect(Policy::none())
                .build()?,
            url: config.url.clone(),
            tokens: ServiceTokens::new(SERVICE, &config.auth)?,
        })
    }

    /// Asks whether `version` of the event may sell no more than this.
    pub async fn lower(
        &self,
        event_id: Uuid,
        version: i64,
        lowered: &[Lowered],
    ) -> Result<Answer, CheckoutError> {
        let quantities = lowered
            .iter()
            .map(|&(ticket_type_id, quantity)| QuantityOut {
                ticket_type_id,
                quantity,
            });
        let body = QuantitiesOut {
            version,
            quantities: quantities.collect(),
        };
        let mut answer = self.put(event_id, &body).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // The keys may have changed since the token was made.
            self.tokens.forget().await;
            answer = self.put(event_id, &body).await?;
        }
        let status = answer.status();
        if status == StatusCode::NO_CONTENT {
            return Ok(Answer::Granted);
        }
        // By its code: a 404 may also come from a gateway that does not have this route.
        let problem: ProblemIn = answer
            .json()
            .await
            .map_err(|_| CheckoutError::Unexpected(status))?;
        match problem.code.as_str() {
            "below-sold" => Ok(Answer::BelowSold(problem.detail)),
            "stale" => Ok(Answer::Outdated),
            "unknown-event" => Ok(Answer::NotKnown),
            _ => Err(CheckoutError::Unexpected(status)),
        }
    }

    async fn put(
        &self,
        event_id: Uuid,
        body: &QuantitiesOut,
    ) -> Result<reqwest::Response, CheckoutError> {
        let mut url = self.url.clone();
        url.set_path(&format!("/internal/events/{event_id}/quantities"));
        let token = self.tokens.token().await?;
        let mut request = self
            .client
            .put(url)
            .bearer_auth(token.expose_secret())
            .json(body);
        if let Some(context) = RequestContext::current() {
            request = request
                .header(X_REQUEST_ID, context.request_id())
                .header(TRACEPARENT, context.traceparent());
        }
        Ok(request.send().await?)
    }
}
