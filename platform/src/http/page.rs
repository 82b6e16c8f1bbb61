//! Lists in pages: `{"items": […], "next_cursor": "…"|null}`.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

use super::json::query;
use super::problem::Problem;

/// Items on a page when the client does not say.
pub const DEFAULT_PAGE_LIMIT: u16 = 50;
/// Most items on a page.
pub const MAX_PAGE_LIMIT: u16 = 200;
/// Longest cursor that is read.
const MAX_CURSOR_LEN: usize = 1_024;

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; null at the end.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page, and the cursor of the next one if there is one.
    pub fn new<C: Serialize>(items: Vec<T>, next: Option<&C>) -> Self {
        Self {
            items,
            next_cursor: next.map(encode_cursor),
        }
    }

    /// The whole list on one page.
    pub fn all(items: Vec<T>) -> Self {
        Self {
            items,
            next_cursor: None,
        }
    }

    /// A page out of up to `limit + 1` items: the one too many shows that there is a next page, which begins after
    /// the last item that is kept.
    pub fn cut<C: Serialize>(
        mut items: Vec<T>,
        limit: usize,
        cursor_of: impl FnOnce(&T) -> C,
    ) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items
            .last()
            .filter(|_| more)
            .map(|last| encode_cursor(&cursor_of(last)));
        Self { items, next_cursor }
    }

    /// The same page of something else: rows become wire types.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            next_cursor: self.next_cursor,
        }
    }
}

/// `?cursor=&limit=` and nothing else, as an argument of a handler. Beside other parameters it is [`PageAmong`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    #[serde(default)]
    cursor: Option<String>,
    #[serde(default, deserialize_with = "limit")]
    limit: Option<u16>,
}

impl PageQuery {
    /// A query that was not sent, for code that pages through something itself.
    pub fn new(cursor: Option<String>, limit: Option<u16>) -> Self {
        Self { cursor, limit }
    }

    /// How many items the page may have.
    pub fn limit(&self) -> usize {
        usize::from(self.limit.unwrap_or(DEFAULT_PAGE_LIMIT))
    }

    /// The cursor as it was sent, for whoever hands it on to where it came from.
    pub fn cursor_text(&self) -> Option<&str> {
        self.cursor.as_deref().filter(|text| !text.is_empty())
    }

    /// Where the page begins: what [`Page::new`] or [`Page::cut`] was given. 422 for a cursor that is not ours.
    pub fn cursor<C: DeserializeOwned>(&self) -> Result<Option<C>, Problem> {
        match self.cursor_text() {
            Some(text) => decode_cursor(text)
                .map(Some)
                .ok_or_else(|| Problem::invalid("?cursor", "invalid", "not a cursor of this list")),
            None => Ok(None),
        }
    }
}

fn encode_cursor<C: Serialize>(cursor: &C) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(cursor).expect("a cursor can be written as JSON"))
}

fn decode_cursor<C: DeserializeOwned>(text: &str) -> Option<C> {
    if text.len() > MAX_CURSOR_LEN {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let limit = String::deserialize(deserializer)?
        .parse()
        .ok()
        .filter(|n| (1..=MAX_PAGE_LIMIT).contains(n));
    match limit {
        Some(limit) => Ok(Some(limit)),
        None => Err(D::Error::custom(OutOfRange)),
    }
}

struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number from 1 to {MAX_PAGE_LIMIT}")
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PageQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        query(parts)
    }
}

/// `?cursor=&limit=` among parameters that a [`Query`](super::json::Query) reads. That one refuses those that nobody knows,
/// and therefore has to know these two.
#[derive(Debug, Clone, Default)]
pub struct PageAmong(pub PageQuery);

impl<S: Send + Sync> FromRequestParts<S> for PageAmong {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Lenient {
            #[serde(default)]
            cursor: Option<String>,
            #[serde(default, deserialize_with = "limit")]
            limit: Option<u16>,
        }

        let Lenient { cursor, limit } = query(parts)?;
        Ok(Self(PageQuery { cursor, limit }))
    }
}

impl utoipa::IntoParams for PageQuery {
    fn into_params(
        _: impl Fn() -> Option<utoipa::openapi::path::ParameterIn>,
    ) -> Vec<utoipa::openapi::path::Parameter> {
        use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        let cursor = ParameterBuilder::new()
            .name("cursor")
            .parameter_in(ParameterIn::Query)
            .description(Some("The `next_cursor` of the page before."))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        let limit = ParameterBuilder::new()
            .name("limit")
            .parameter_in(ParameterIn::Query)
            .description(Some("The most items on the page."))
            .schema(Some(
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .minimum(Some(1))
                    .maximum(Some(MAX_PAGE_LIMIT))
                    .default(Some(DEFAULT_PAGE_LIMIT.into())),
            ));
        vec![cursor.build(), limit.build()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cursor: Option<String>) -> PageQuery {
        PageQuery::new(cursor, None)
    }

    #[test]
    fn a_page_ends_with_the_cursor_of_its_last_item() {
        for (found, kept, next) in [
            (0, 0, None),
            (2, 2, None),
            (3, 3, None),
            (4, 3, Some(2_usize)),
        ] {
            let page = Page::cut((0..found).collect::<Vec<usize>>(), 3, |last| *last);
            assert_eq!(page.items.len(), kept);
            let cursor = sent(page.next_cursor).cursor::<usize>().unwrap();
            assert_eq!(cursor, next, "{found}");
        }
    }

    #[test]
    fn a_cursor_survives_the_way_to_the_client_and_back() {
        let next = ("2026-05-01T18:00:00Z".to_owned(), 7_u32);
        let page = Page::new(vec![1, 2], Some(&next)).map(|n| n * 10);
        assert_eq!(page.items, [10, 20]);
        let text = page.next_cursor.clone().unwrap();
        assert!(
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
        assert_eq!(sent(page.next_cursor).cursor().unwrap(), Some(next));
        let json = serde_json::to_string(&Page::all(vec![1])).unwrap();
        assert_eq!(json, r#"{"items":[1],"next_cursor":null}"#);
    }

    #[test]
    fn a_cursor_that_is_not_ours_is_refused() {
        let long = URL_SAFE_NO_PAD.encode(format!("\"{}\"", "a".repeat(MAX_CURSOR_LEN)));
        for text in ["?", "e30", "WzFd=", &long] {
            let problem = sent(Some(text.to_owned())).cursor::<String>().unwrap_err();
            assert_eq!(problem.errors()[0].pointer, "?cursor");
        }
    }
}
