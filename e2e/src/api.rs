//! A thin REST client: one base URL, the headers that our API knows, and answers that can say what is wrong with them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response};
use serde_json::Value;

use crate::users::User;

/// Above the longest that the gateway lets a service take (12 s for a payment).
const TIMEOUT: Duration = Duration::from_secs(20);
/// How much of an unexpected answer an error message shows.
const MAX_SHOWN_CHARS: usize = 2_000;

/// A client of one origin.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    http: Client,
}

impl Api {
    /// A client of `base`, such as `http://localhost:8080`.
    ///
    /// # Panics
    /// When TLS cannot be set up.
    pub fn new(base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').to_owned(),
            http: client(None),
        }
    }

    /// The same origin, called from this address of the machine. All of 127.0.0.0/8 is there, so that a test can be a
    /// client that no other test is.
    #[must_use]
    pub fn from_address(&self, address: Ipv4Addr) -> Self {
        Self {
            base: self.base.clone(),
            http: client(Some(address)),
        }
    }

    /// The origin.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A GET of `path`, query included.
    pub fn get(&self, path: impl fmt::Display) -> Call {
        self.call(Method::GET, path)
    }

    /// A POST to `path`.
    pub fn post(&self, path: impl fmt::Display) -> Call {
        self.call(Method::POST, path)
    }

    /// A PUT to `path`.
    pub fn put(&self, path: impl fmt::Display) -> Call {
        self.call(Method::PUT, path)
    }

    /// A PATCH of `path`.
    pub fn patch(&self, path: impl fmt::Display) -> Call {
        self.call(Method::PATCH, path)
    }

    /// A DELETE of `path`.
    pub fn delete(&self, path: impl fmt::Display) -> Call {
        self.call(Method::DELETE, path)
    }

    /// Any other method.
    pub fn call(&self, method: Method, path: impl fmt::Display) -> Call {
        Call {
            http: self.http.clone(),
            url: format!("{}{path}", self.base),
            method,
            headers: HeaderMap::new(),
            body: None,
        }
    }
}

fn client(address: Option<Ipv4Addr>) -> Client {
    Client::builder()
        .timeout(TIMEOUT)
        // The stack is on this machine; a proxy of the surroundings cannot reach it.
        .no_proxy()
        .local_address(address.map(IpAddr::from))
        .build()
        .expect("a client without files of its own can be built")
}

/// A request that is not sent yet.
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    http: Client,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
}

impl Call {
    /// A JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Any body.
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("content-type", content_type)
    }

    /// Signed in as `user`.
    pub fn by(self, user: &User) -> Self {
        self.token(&user.token)
    }

    /// With this access token.
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// With this `Idempotency-Key`.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// With this `X-Request-Id`.
    pub fn request_id(self, id: &str) -> Self {
        self.header("x-request-id", id)
    }

    /// With this `If-Match`, as it came in an `ETag`.
    pub fn if_match(self, etag: &str) -> Self {
        self.header("if-match", etag)
    }

    /// With this `Accept-Language`.
    pub fn language(self, language: &str) -> Self {
        self.header("accept-language", language)
    }

    /// With this header, in place of an earlier one of its name.
    ///
    /// # Panics
    /// When name or value are no header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        let value = HeaderValue::from_str(value).expect("a header value");
        self.headers.insert(name, value);
        self
    }

    /// With this header beside an earlier one of its name.
    ///
    /// # Panics
    /// When name or value are no header.
    pub fn another_header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        let value = HeaderValue::from_str(value).expect("a header value");
        self.headers.append(name, value);
        self
    }

    /// Sends it for the status alone, for answers that may have no end.
    pub async fn status(self) -> anyhow::Result<u16> {
        let (_, response) = self.response().await?;
        Ok(response.status().as_u16())
    }

    /// What was called, and the head of the answer.
    async fn response(self) -> anyhow::Result<(String, Response)> {
        let what = format!("{} {}", self.method, self.url);
        let mut request = self
            .http
            .request(self.method, &self.url)
            .headers(self.headers);
        if let Some(body) = self.body {
            request = request.body(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("{what} got no answer"))?;
        Ok((what, response))
    }

    /// Sends it. An error means that no whole answer came, so that nobody knows whether it had an effect.
    pub async fn send(self) -> anyhow::Result<Answer> {
        let (what, response) = self.response().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let bytes = response
            .bytes()
            .await
            .with_context(|| format!("{what} got {status} and half an answer"))?
            .to_vec();
        Ok(Answer {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            bytes,
            what,
        })
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, null when it is no JSON.
    pub body: Value,
    /// The body as it came.
    pub bytes: Vec<u8>,
    what: String,
}

impl Answer {
    /// The body of an answer that must have this status.
    pub fn expect(self, status: u16) -> anyhow::Result<Value> {
        if self.status != status {
            bail!("{self}; expected {status}");
        }
        Ok(self.body)
    }

    /// The problem of an answer that must be one: an RFC 9457 document with this status and code, all fields there.
    pub fn expect_problem(self, status: u16, code: &str) -> anyhow::Result<Value> {
        let body = &self.body;
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        let wrong = if self.status != status {
            format!("expected {status}")
        } else if self.header("content-type") != Some("application/problem+json") {
            format!("content-type is {:?}", self.header("content-type"))
        } else if text("code") != code {
            format!("expected code {code}")
        } else if body["status"] != status {
            "`status` differs from the status".to_owned()
        } else if text("type") != format!("/problems/{code}") {
            "`type` does not fit the code".to_owned()
        } else if text("title").is_empty() {
            "`title` is missing".to_owned()
        } else if Some(text("instance")) != self.header("x-request-id") {
            format!(
                "`instance` is not the request id {:?}",
                self.header("x-request-id")
            )
        } else if matches!(status, 429 | 503) && self.header("retry-after").is_none() {
            "Retry-After is missing".to_owned()
        } else {
            return Ok(self.body);
        };
        bail!("{self}; {wrong}")
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `ETag`.
    pub fn etag(&self) -> anyhow::Result<String> {
        let etag = self
            .header("etag")
            .with_context(|| format!("{self}; without an ETag"))?;
        Ok(etag.to_owned())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body: String = self.text().trim().chars().take(MAX_SHOWN_CHARS).collect();
        write!(f, "{} answered {} {body}", self.what, self.status)
    }
}
