//! Answers that clients and proxies may keep, and how they ask whether what they kept is still right.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Most tags that one `If-None-Match` may list.
const MAX_TAGS: usize = 16;

/// Who may keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Anyone, and give it away for this long, in whole seconds, without asking.
    Anyone(Duration),
    /// Who has asked for it, and asks each time whether it is still right.
    Caller,
}

/// What the client has kept. As an argument of a handler; without the header nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IfNoneMatch {
    tags: Vec<String>,
}

impl IfNoneMatch {
    /// The answer: what `body` makes, or 304 if the client has what bears this tag. The tag stands for the bytes: the same
    /// one from every instance, another one for other bytes. Letters, digits and `-`.
    pub fn answer<B: IntoResponse>(
        &self,
        tag: &str,
        keep: Keep,
        body: impl FnOnce() -> B,
    ) -> Response {
        let mut response = if self.has(tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            body().into_response()
        };
        let keep = match keep {
            Keep::Anyone(lasting) => format!("public, max-age={}", lasting.as_secs()),
            Keep::Caller => "private, no-cache".to_owned(),
        };
        for (name, value) in [
            (header::ETAG, format!("\"{tag}\"")),
            (header::CACHE_CONTROL, keep),
        ] {
            let value = HeaderValue::try_from(value).expect("visible ASCII characters");
            response.headers_mut().insert(name, value);
        }
        response
    }

    /// RFC 9110 compares weakly here: a proxy that compresses makes weak tags of strong ones.
    fn has(&self, tag: &str) -> bool {
        self.tags.iter().any(|known| {
            let strong = known.strip_prefix("W/").unwrap_or(known);
            let bare = strong.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
            known == "*" || bare == Some(tag)
        })
    }

    fn from_headers(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::IF_NONE_MATCH).iter();
        let texts = values.filter_map(|value| value.to_str().ok());
        let tags = texts.flat_map(|text| text.split(',')).take(MAX_TAGS);
        Self {
            tags: tags.map(|tag| tag.trim().to_owned()).collect(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(values: &[&'static str]) -> IfNoneMatch {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(value));
        }
        IfNoneMatch::from_headers(&headers)
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        for (values, expected) in [
            (&[][..], 200),
            (&["\"7-1\""], 304),
            (&["W/\"7-1\""], 304),
            (&["\"6\", \"7-1\""], 304),
            (&["\"6\"", "\"7-1\""], 304),
            (&["*"], 304),
            (&["\"7\""], 200),
            (&["7-1"], 200),
            (&["\"7-1"], 200),
            (&[""], 200),
        ] {
            let keep = Keep::Anyone(Duration::from_secs(1));
            let response = sent(values).answer("7-1", keep, || "body");
            assert_eq!(response.status(), expected, "{values:?}");
            let headers = response.headers();
            assert_eq!(headers["etag"], "\"7-1\"");
            assert_eq!(headers["cache-control"], "public, max-age=1");
        }
    }

    #[test]
    fn what_is_not_for_everyone_is_asked_for_each_time() {
        let response = sent(&[]).answer("7", Keep::Caller, || "body");
        assert_eq!(response.headers()["cache-control"], "private, no-cache");
    }
}
