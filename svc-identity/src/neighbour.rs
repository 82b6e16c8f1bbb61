//! Another of our services, asked in the moment in which somebody wants to know: under a deadline, and with a token that
//! says who asks.

use std::sync::Arc;
use std::time::Duration;

use platform::auth::service_id;
use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::http::Page;
use platform::http::header::{TRACEPARENT, X_REQUEST_ID};
use platform::http::page::MAX_PAGE_LIMIT;
use platform::ids::new_id;
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::tokens::Tokens;

/// This service's name in the tokens that it asks with.
const SERVICE: &str = "svc-identity";
/// Most bytes of an answer: a page of the largest orders, several times.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Items of a list.
#[derive(Debug)]
pub struct All<T> {
    /// As many as were asked for, the newest.
    pub items: Vec<T>,
    /// There are more.
    pub is_cut: bool,
}

impl<T> All<T> {
    /// `limit` items of one more than that, or of fewer.
    pub fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let is_cut = items.len() > limit;
        items.truncate(limit);
        Self { items, is_cut }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NeighbourError {
    /// The system could not sign a token.
    #[error("sign a token for this service")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// It cannot be reached, or takes too long.
    #[error("a neighbour is away")]
    Away(#[from] reqwest::Error),
    /// It does not know the cursor.
    #[error("a neighbour does not know the cursor")]
    NotACursor,
    /// It says more than anyone asked for.
    #[error("a neighbour answers more than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    /// It says something that nobody here understands.
    #[error("a neighbour's answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
    /// It answers something else.
    #[error("a neighbour answers {0}")]
    Unexpected(StatusCode),
}

#[derive(Deserialize)]
struct ProblemIn {
    code: String,
}

/// The way to a service's internal routes.
pub struct Neighbour {
    client: reqwest::Client,
    url: Url,
    tokens: Arc<Tokens>,
}

impl Neighbour {
    /// Connects lazily. An answer that takes longer than `deadline` is none.
    pub fn new(url: Url, deadline: Duration, tokens: Arc<Tokens>) -> Result<Self, reqwest::Error> {
        Ok(Self {
            // A redirect would take the token to where nobody has configured it.
            client: reqwest::Client::builder()
                .timeout(deadline)
                .redirect(Policy::none())
                .build()?,
            url,
            tokens,
        })
    }

    /// Whether there is something at `path`.
    pub async fn has(&self, path: &str) -> Result<bool, NeighbourError> {
        Ok(self.get(path, &[]).await?.is_some())
    }

    /// A page of the list at `path`, as it stands there.
    pub async fn page(
        &self,
        path: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Value>, NeighbourError> {
        let limit = limit.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let body = self.get(path, &query).await?;
        let body = body.ok_or(NeighbourError::Unexpected(StatusCode::NOT_FOUND))?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Up to `limit` items of the list at `path`, page by page; each of them has the deadline.
    pub async fn all(&self, path: &str, limit: usize) -> Result<All<Value>, NeighbourError> {
        let mut items = Vec::new();
        let mut cursor = None;
        loop {
            let page = self
                .page(path, cursor.as_deref(), MAX_PAGE_LIMIT.into())
                .await?;
            items.extend(page.items);
            cursor = page.next_cursor;
            let is_cut = items.len() > limit || (items.len() == limit && cursor.is_some());
            if is_cut || cursor.is_none() {
                items.truncate(limit);
                return Ok(All { items, is_cut });
            }
        }
    }

    /// What is at `path`, if there is something.
    async fn get(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<Vec<u8>>, NeighbourError> {
        let mut url = self.url.clone();
        url.set_path(path);
        url.query_pairs_mut().extend_pairs(query);
        // Made anew each time: it takes less than keeping one would.
        let (id, now) = (service_id(SERVICE), Timestamp::now());
        let token = self.tokens.service_token(id, new_id(), now)?;
        let mut request = self.client.get(url).bearer_auth(token);
        if let Some(context) = RequestContext::current() {
            request = request
                .header(X_REQUEST_ID, context.request_id())
                .header(TRACEPARENT, context.traceparent());
        }
        let answer = request.send().await?;
        let status = answer.status();
        let body = bounded(answer).await?;
        if status == StatusCode::OK {
            return Ok(Some(body));
        }
        // By its code: a 404 may also come from a gateway that does not have this route.
        let problem: Option<ProblemIn> = serde_json::from_slice(&body).ok();
        match problem.as_ref().map(|problem| problem.code.as_str()) {
            Some("not-found") => Ok(None),
            Some("invalid") => Err(NeighbourError::NotACursor),
            _ => Err(NeighbourError::Unexpected(status)),
        }
    }
}

async fn bounded(mut answer: Response) -> Result<Vec<u8>, NeighbourError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(NeighbourError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
