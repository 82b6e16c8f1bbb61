//! What handlers read from headers, and the versions they answer with.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponseParts, ResponseParts};
use serde::{Deserialize, Serialize};

use super::problem::{Code, Problem};
use crate::context::RequestContext;

/// The name of the header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The name of the header.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The name of the header.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Longest idempotency key.
pub const MAX_IDEMPOTENCY_KEY_LEN: usize = 255;
/// Most tags that one `If-Match` may list.
const MAX_IF_MATCH_TAGS: usize = 16;

/// A client's name for one wish: the same key and body have one effect. As an argument, `Option<IdempotencyKey>`;
/// without the `Option` the header must be there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The key: 1 to 255 visible ASCII characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let key = value.to_str().unwrap_or_default();
        let valid = (1..=MAX_IDEMPOTENCY_KEY_LEN).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_graphic())
            && values.next().is_none();
        if !valid {
            let detail = "once, 1 to 255 visible ASCII characters";
            return Err(Problem::invalid("Idempotency-Key", "invalid", detail));
        }
        Ok(Some(Self(key.to_owned())))
    }
}

impl FromStr for IdempotencyKey {
    type Err = Problem;

    fn from_str(key: &str) -> Result<Self, Problem> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(key)
            .map_err(|_| Problem::invalid("Idempotency-Key", "invalid", "not a header value"))?;
        headers.insert(IDEMPOTENCY_KEY, value);
        Self::from_headers(&headers)?
            .ok_or_else(|| Problem::invalid("Idempotency-Key", "required", "missing"))
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Self::from_headers(&parts.headers)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::from_headers(&parts.headers)?
            .ok_or_else(|| Problem::invalid("Idempotency-Key", "required", "missing"))
    }
}

/// The version of a resource, as a header of an answer: `(ETag(event.version), Json(event))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag(pub i64);

impl IntoResponseParts for ETag {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        let tag = HeaderValue::from_str(&format!("\"{}\"", self.0)).expect("quotes and digits");
        parts.headers_mut().insert(header::ETAG, tag);
        Ok(parts)
    }
}

/// The versions that a change may start from. 428 `if-match-required` when the header is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IfMatch {
    /// `None` for `*`.
    versions: Option<Vec<i64>>,
}

impl IfMatch {
    /// 412 `stale` unless the current version is among those sent.
    pub fn check(&self, current: i64) -> Result<(), Problem> {
        match &self.versions {
            Some(versions) if !versions.contains(&current) => Err(Problem::new(Code::Stale)),
            _ => Ok(()),
        }
    }

    fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
        values.peek()?;
        let texts: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
        if texts.iter().any(|text| text.trim() == "*") {
            return Some(Self { versions: None });
        }
        // A tag that is not one of ours (weak ones among them: RFC 9110 compares strongly here) matches nothing.
        let versions = texts
            .iter()
            .flat_map(|text| text.split(','))
            .take(MAX_IF_MATCH_TAGS)
            .filter_map(|tag| {
                tag.trim()
                    .strip_prefix('"')?
                    .strip_suffix('"')?
                    .parse()
                    .ok()
            })
            .collect();
        Some(Self {
            versions: Some(versions),
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::from_headers(&parts.headers).ok_or_else(|| {
            Problem::new(Code::IfMatchRequired).detail("send the ETag that the change starts from")
        })
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

/// A language that texts for people exist in. As an argument: the best of `Accept-Language`, English without it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// French.
    Fr,
    /// Spanish.
    Es,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 3] = [Self::En, Self::Fr, Self::Es];

    /// The subtag of BCP 47: `en`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
            Self::Es => "es",
        }
    }

    /// The language of a locale such as `fr` or `fr-CA`; `None` when there are no texts in it.
    pub fn from_locale(locale: &str) -> Option<Self> {
        let language = locale.split(['-', '_']).next()?.trim();
        Self::ALL
            .into_iter()
            .find(|known| language.eq_ignore_ascii_case(known.as_str()))
    }

    /// The language that `Accept-Language` likes best; of equals the one named first.
    pub fn from_accept_language(text: &str) -> Self {
        let mut best = (0, Self::default());
        for range in text.split(',') {
            let (tag, params) = range.split_once(';').unwrap_or((range, ""));
            let weight = match params.trim().strip_prefix("q=") {
                Some(q) => weight(q.trim()),
                None => 1_000,
            };
            let language = match tag.trim() {
                "*" => Some(Self::default()),
                tag => Self::from_locale(tag),
            };
            if let Some(language) = language
                && weight > best.0
            {
                best = (weight, language);
            }
        }
        best.1
    }
}

/// A q-value in thousandths; what is none counts as not wanted.
fn weight(q: &str) -> u16 {
    match q.parse::<f32>() {
        Ok(q) if (0.0..=1.0).contains(&q) => (q * 1_000.0).round() as u16,
        _ => 0,
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let text = parts.headers.get(header::ACCEPT_LANGUAGE);
        Ok(text
            .and_then(|value| value.to_str().ok())
            .map_or_else(Self::default, Self::from_accept_language))
    }
}

/// The id of the request, as an argument. Elsewhere: [`RequestContext::current`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Problem> {
        RequestContext::current()
            .map(|context| Self(context.request_id().to_owned()))
            .ok_or_else(|| Problem::internal(anyhow::anyhow!("the standard layers are missing")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn idempotency_keys_are_visible_ascii() {
        let longest = "k".repeat(MAX_IDEMPOTENCY_KEY_LEN);
        for key in ["a", "order/7+1=8", &longest] {
            let found = IdempotencyKey::from_headers(&headers(&IDEMPOTENCY_KEY, &[key]));
            assert_eq!(found.unwrap().unwrap().as_str(), key);
            assert_eq!(key.parse::<IdempotencyKey>().unwrap().as_str(), key);
        }
        assert_eq!(
            IdempotencyKey::from_headers(&HeaderMap::new()).unwrap(),
            None
        );
        let too_long = "k".repeat(MAX_IDEMPOTENCY_KEY_LEN + 1);
        for values in [
            &[""][..],
            &["a b"],
            &["é"],
            &["\t"],
            &[&too_long],
            &["a", "a"],
        ] {
            let problem =
                IdempotencyKey::from_headers(&headers(&IDEMPOTENCY_KEY, values)).unwrap_err();
            assert_eq!(problem.status(), 422);
            assert_eq!(problem.errors()[0].pointer, "Idempotency-Key");
        }
    }

    #[test]
    fn if_match_compares_strongly() {
        for (values, current, passes) in [
            (&["\"7\""][..], 7, true),
            (&["\"6\", \"7\""], 7, true),
            (&["\"6\"", "\"7\""], 7, true),
            (&["*"], 7, true),
            (&["\"8\""], 7, false),
            (&["W/\"7\""], 7, false),
            (&["7"], 7, false),
            (&["\"x\""], 7, false),
            (&[""], 7, false),
        ] {
            let found = IfMatch::from_headers(&headers(&header::IF_MATCH, values)).unwrap();
            let checked = found.check(current).map_err(|problem| problem.code());
            assert_eq!(
                checked,
                if passes { Ok(()) } else { Err(Code::Stale) },
                "{values:?}"
            );
        }
        assert_eq!(IfMatch::from_headers(&HeaderMap::new()), None);
    }

    #[test]
    fn the_best_language_is_taken() {
        for (text, language) in [
            ("fr", Language::Fr),
            ("es-MX", Language::Es),
            ("FR-ca", Language::Fr),
            ("de, es;q=0.5, fr;q=0.8", Language::Fr),
            ("es, fr", Language::Es),
            ("fr;q=0.3, en;q=0.2", Language::Fr),
            ("fr;q=0, es;q=0.1", Language::Es),
            ("de", Language::En),
            ("*", Language::En),
            ("fr;q=0", Language::En),
            ("fr;q=x, es ; q=0.2", Language::Es),
            ("", Language::En),
            (";;,,", Language::En),
            ("french", Language::En),
        ] {
            assert_eq!(Language::from_accept_language(text), language, "{text}");
        }
        assert_eq!(Language::from_locale("fr_CA"), Some(Language::Fr));
        assert_eq!(Language::from_locale("de"), None);
    }
}
