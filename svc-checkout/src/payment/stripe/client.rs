//! Six calls of Stripe's HTTP API, and what its answers mean to somebody who must not charge twice.

use std::time::Duration;

use platform::money::Money;
use reqwest::{Method, StatusCode, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use url::{Url, form_urlencoded};
use uuid::Uuid;

use super::amount::{stripe_amount, stripe_currency};
use super::answers::{ErrorBody, Intent, List, Refund};

/// The version whose shapes are in `answers.rs`. Without the header the account's own setting would decide.
const API_VERSION: &str = "2024-06-20";
/// For a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For one call. Longer than any that somebody waits for; those are dropped by who waits.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// What was refused for now (lock, rate, outage) is asked again, under the same key, so often in all.
const TRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// Largest answer that is read; an intent has some 3 kB.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Refunds of one payment that are looked at; the largest page there is.
const REFUNDS_PER_PAGE: &str = "100";

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Understood and refused: asked again it would be refused again. It had no effect but what the intent tells.
    #[error("Stripe refused with {status}: {reason}")]
    Refused {
        /// 400, 402 or 404.
        status: u16,
        /// Type and codes.
        reason: String,
    },
    /// It may have had its effect or not: a lock, a limit, an outage, a key that is not accepted.
    #[error("Stripe answered {status}: {reason}")]
    Unsettled {
        /// HTTP status.
        status: u16,
        /// Type and codes.
        reason: String,
    },
    /// No answer, or half of one.
    #[error("Stripe was not reached or did not answer")]
    Transport(#[from] reqwest::Error),
    /// An answer that is not of the form.
    #[error("Stripe's answer cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// Nobody knows how much to ask for.
    #[error("it is not known how Stripe counts {0}")]
    Currency(String),
    /// Longer than any answer should be.
    #[error("Stripe's answer is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
}

/// A client of Stripe's API.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: SecretString,
}

impl Client {
    /// For the API at `base`, with this secret key.
    pub fn new(base: Url, key: SecretString) -> Result<Self, reqwest::Error> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(CALL_TIMEOUT)
            // The key goes where it was meant to go and nowhere else.
            .redirect(redirect::Policy::none());
        if base.scheme() == "http" {
            // A stand-in on this machine: no certificates are needed for it, and no proxy leads to it.
            http = http.tls_certs_only([]).no_proxy();
        }
        Ok(Self {
            http: http.build()?,
            base,
            key,
        })
    }

    /// Makes an intent, which takes no money before it is confirmed. It follows from the payment alone, so that whoever
    /// makes it again under the same key gets the same one, without knowing how the buyer pays.
    pub async fn create_intent(
        &self,
        payment_id: Uuid,
        order_id: Uuid,
        amount: Money,
    ) -> Result<Intent, CallError> {
        let currency = stripe_currency(amount);
        let minor = stripe_amount(amount).ok_or_else(|| CallError::Currency(currency.clone()))?;
        let form = [
            ("amount", minor.to_string()),
            ("currency", currency),
            // Cards only: their answer comes at once, and none of them redirects the buyer.
            ("payment_method_types[]", "card".to_owned()),
            ("metadata[payment_id]", payment_id.to_string()),
            ("metadata[order_id]", order_id.to_string()),
        ];
        let key = format!("{payment_id}-create");
        self.post("v1/payment_intents", &form, Some(&key)).await
    }

    /// Takes the money.
    pub async fn confirm_intent(
        &self,
        payment_id: Uuid,
        intent_id: &str,
        payment_method: &str,
    ) -> Result<Intent, CallError> {
        let form = [
            ("payment_method", payment_method.to_owned()),
            // Nobody is there to be led to 3-D Secure: what needs it is declined at once (docs/API.md).
            ("error_on_requires_action", "true".to_owned()),
        ];
        let path = format!("v1/payment_intents/{intent_id}/confirm");
        let key = format!("{payment_id}-confirm");
        self.post(&path, &form, Some(&key)).await
    }

    /// Makes taking the money impossible. Without a key: it may be asked as often as one likes, and under a key Stripe
    /// would repeat its first answer ("processing, not now") when it is no longer true.
    pub async fn cancel_intent(&self, intent_id: &str) -> Result<Intent, CallError> {
        let path = format!("v1/payment_intents/{intent_id}/cancel");
        let form = [("cancellation_reason", "abandoned".to_owned())];
        self.post(&path, &form, None).await
    }

    /// How it stands.
    pub async fn intent(&self, intent_id: &str) -> Result<Intent, CallError> {
        self.get(&format!("v1/payment_intents/{intent_id}"), &[])
            .await
    }

    /// Every refund of an intent.
    pub async fn refunds(&self, intent_id: &str) -> Result<Vec<Refund>, CallError> {
        let query = [("payment_intent", intent_id), ("limit", REFUNDS_PER_PAGE)];
        let page: List<Refund> = self.get("v1/refunds", &query).await?;
        Ok(page.data)
    }

    /// Gives back what is left of the money. `number` tells this refund of the intent from those that failed before.
    pub async fn create_refund(
        &self,
        payment_id: Uuid,
        intent_id: &str,
        number: usize,
    ) -> Result<Refund, CallError> {
        let form = [
            ("payment_intent", intent_id.to_owned()),
            ("metadata[payment_id]", payment_id.to_string()),
        ];
        let key = format!("{payment_id}-refund-{number}");
        self.post("v1/refunds", &form, Some(&key)).await
    }

    async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, CallError> {
        let mut url = self.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.call(|| self.http.request(Method::GET, url.clone()))
            .await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        form: &[(&str, String)],
        key: Option<&str>,
    ) -> Result<T, CallError> {
        let url = self.url(path);
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        self.call(|| {
            let mut request = self
                .http
                .request(Method::POST, url.clone())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.clone());
            if let Some(key) = key {
                request = request.header("idempotency-key", key);
            }
            request
        })
        .await
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let base = url.path().trim_end_matches('/');
        // An id comes from our own notes, and before from Stripe: it has no character that a path could not have.
        url.set_path(&format!("{base}/{path}"));
        url
    }

    async fn call<T: DeserializeOwned>(
        &self,
        request: impl Fn() -> reqwest::RequestBuilder,
    ) -> Result<T, CallError> {
        let mut pause = FIRST_PAUSE;
        let mut tries = 1;
        loop {
            let request = request()
                .bearer_auth(self.key.expose_secret())
                .header("stripe-version", API_VERSION);
            let (error, may_repeat) = match Self::call_once(request).await {
                Ok(bytes) => return serde_json::from_slice(&bytes).map_err(CallError::Unreadable),
                Err(failed) => failed,
            };
            if !may_repeat || tries == TRIES {
                return Err(error);
            }
            tracing::debug!(%error, tries, "asking Stripe again");
            tokio::time::sleep(pause).await;
            pause *= 2;
            tries += 1;
        }
    }

    /// The body of a good answer, or the error and whether asking again at once may help.
    async fn call_once(request: reqwest::RequestBuilder) -> Result<Vec<u8>, (CallError, bool)> {
        let sent = request.send().await;
        let mut response = sent.map_err(|error| {
            let was_not_sent = error.is_connect();
            (CallError::Transport(error.without_url()), was_not_sent)
        })?;
        let status = response.status();
        let advised_against = response
            .headers()
            .get("stripe-should-retry")
            .is_some_and(|value| value == "false");
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            match chunk.map_err(|error| (CallError::Transport(error.without_url()), false))? {
                Some(chunk) if body.len() + chunk.len() <= MAX_ANSWER_BYTES => {
                    body.extend_from_slice(&chunk);
                }
                Some(_) => return Err((CallError::TooLarge, false)),
                None => break,
            }
        }
        if status.is_success() {
            return Ok(body);
        }
        Err(failure(status, &body, advised_against))
    }
}

/// What an answer that is no success means, and whether asking again at once may help.
fn failure(status: StatusCode, body: &[u8], advised_against: bool) -> (CallError, bool) {
    // A proxy on the way answers in HTML.
    let detail = serde_json::from_slice::<ErrorBody>(body)
        .unwrap_or_default()
        .error;
    let codes = [
        Some(detail.kind.as_str()),
        detail.code.as_deref(),
        detail.decline_code.as_deref(),
    ];
    let reason = codes.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let number = status.as_u16();
    let is_refusal = matches!(number, 400 | 402 | 404)
        && !detail.kind.is_empty()
        // Another request has this key: it, not this one, tells what happened.
        && detail.kind != "idempotency_error";
    if is_refusal {
        let refused = CallError::Refused {
            status: number,
            reason,
        };
        return (refused, false);
    }
    let may_repeat = matches!(number, 409 | 429) || status.is_server_error();
    let unsettled = CallError::Unsettled {
        status: number,
        reason,
    };
    (unsettled, may_repeat && !advised_against)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stripe_understood_and_refused_is_refused() {
        let error = |kind: &str| format!(r#"{{"error":{{"type":"{kind}","code":"c"}}}}"#);
        for (status, body, refused, repeated) in [
            (402, error("card_error"), true, false),
            (400, error("invalid_request_error"), true, false),
            (404, error("invalid_request_error"), true, false),
            (400, error("idempotency_error"), false, false),
            (409, error("idempotency_error"), false, true),
            (429, error("invalid_request_error"), false, true),
            (500, error("api_error"), false, true),
            (401, error("invalid_request_error"), false, false),
            (403, error("invalid_request_error"), false, false),
            (400, "<html>".to_owned(), false, false),
            (302, String::new(), false, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let (found, again) = failure(status, body.as_bytes(), false);
            let is_refused = matches!(found, CallError::Refused { .. });
            assert_eq!((is_refused, again), (refused, repeated), "{status} {body}");
            let (_, again) = failure(status, body.as_bytes(), true);
            assert!(!again, "{status}: Stripe said not to");
        }
    }
}
