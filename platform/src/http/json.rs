//! Bodies, paths and queries. What axum's own extractors refuse in plain text is refused here as a problem that names
//! the field.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_path_to_error::{Path as ErrorPath, Segment};

use self::objects::Objects;
use super::problem::{Code, Problem};

mod objects;

/// A JSON body, as an argument and as an answer.
///
/// As an argument: 415 for another media type, 413 above the body limit, 400 for what is not JSON, 422 with the
/// pointer for JSON that is not a `T`. Put `#[serde(deny_unknown_fields)]` on `T`: a field that is ignored is a typo
/// that nobody notices.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(Code::UnsupportedMediaType)
                .detail("send the body as UTF-8 with Content-Type: application/json"));
        }
        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}

/// The bytes of a body as they came, for signatures over them. 413 above the body limit.
#[derive(Debug, Clone)]
pub struct RawBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Bytes::from_request(request, state).await {
            Ok(bytes) => Ok(Self(bytes)),
            Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_))) => {
                Err(Problem::new(Code::TooLarge))
            }
            Err(_) => Err(Problem::new(Code::Malformed).detail("the body ended early")),
        }
    }
}

/// For a call that takes no body: an empty one or `{}`. Else 422 with the field that it does not have, or 400 for what is
/// not JSON.
#[derive(Debug, Clone, Copy)]
pub struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}

        let RawBody(bytes) = RawBody::from_request(request, state).await?;
        if !bytes.is_empty() {
            parse::<Nothing>(&bytes)?;
        }
        Ok(Self)
    }
}

/// Reads JSON as the [`Json`] extractor does, for bytes that came another way. A struct, and an enum that a field tells apart, is an
/// object; a `T` with a field that takes any JSON would take no array there.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Following the path of every field costs time that only a wrong body should cost.
    match read(bytes) {
        Ok(value) => Ok(value),
        Err(error) if error.classify() == Category::Data => Err(explain::<T>(bytes)),
        Err(error) => Err(malformed(&error)),
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Objects(&mut json))?;
    json.end()?;
    Ok(value)
}

/// Why JSON, or what looks like it, is not a `T`.
fn explain<T: DeserializeOwned>(bytes: &[u8]) -> Problem {
    // A wrong field is noticed before the rest is read, and the rest may not be JSON at all.
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(bytes) {
        return malformed(&error);
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(Objects(&mut json)) {
        Err(error) => {
            let pointer = pointer(error.path());
            let error = error.into_inner();
            let text = error.to_string();
            let at = format!(" at line {} column {}", error.line(), error.column());
            field_problem(pointer, text.strip_suffix(&at).unwrap_or(&text))
        }
        // Cannot happen: the same bytes were refused a moment ago.
        Ok(_) => Problem::new(Code::Invalid),
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::Malformed).detail(format!("the body is not JSON: {error}"))
}

/// A 422 from what serde says about the value at `pointer`.
fn field_problem(pointer: String, message: &str) -> Problem {
    // serde has no error codes; these beginnings are part of its stable texts and the tests hold them.
    let named = |prefix: &str| {
        let rest = message.strip_prefix(prefix)?.strip_prefix('`')?;
        rest.split_once('`').map(|(name, _)| escape(name))
    };
    if let Some(name) = named("missing field ") {
        return Problem::invalid(format!("{pointer}/{name}"), "required", "missing");
    }
    if let Some(name) = named("unknown field ") {
        // The path may or may not already end in the unknown name.
        let name = format!("/{name}");
        let pointer = match pointer.ends_with(&name) {
            true => pointer,
            false => pointer + &name,
        };
        return Problem::invalid(pointer, "unknown", "there is no such field");
    }
    let code = if message.starts_with("invalid type: ") {
        "type"
    } else if message.starts_with("unknown variant ") {
        "unknown"
    } else {
        "invalid"
    };
    Problem::invalid(pointer, code, in_terms_of_json(message))
}

/// What serde says, without the names of our Rust types and without what was sent: that may be a secret.
fn in_terms_of_json(message: &str) -> String {
    let Some((_, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let first = expected.split(' ').next().unwrap_or_default();
    let expected = match first {
        "struct" | "internally" | "adjacently" | "map" => "an object",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "tuple" => "an array",
        _ if expected.starts_with("a sequence") => "an array",
        _ if expected.starts_with("a map") => "an object",
        _ => expected,
    };
    format!("{expected} is expected")
}

/// RFC 6901.
fn pointer(path: &ErrorPath) -> String {
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{}", escape(key)),
            Segment::Enum { .. } | Segment::Unknown => String::new(),
        })
        .collect()
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    let is_json = essence.is_some_and(|essence| {
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    });
    is_json && is_utf8(headers)
}

/// JSON is UTF-8 (RFC 8259) and has no charset; clients that name this one all the same are right.
fn is_utf8(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    let parameters = value.unwrap_or_default().split(';').skip(1);
    parameters
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
        .all(|(_, charset)| {
            charset
                .trim()
                .trim_matches('"')
                .eq_ignore_ascii_case("utf-8")
        })
}

/// The variable parts of a path. What cannot be read (a UUID that is none) is not there: 404.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            // A route without the parts that its handler asks for is our mistake.
            Err(rejection) if rejection.status().is_server_error() => {
                Err(Problem::internal(rejection))
            }
            Err(_) => Err(Problem::new(Code::NotFound)),
        }
    }
}

/// The query. What cannot be read is a 422 that names the parameter.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        query(parts).map(Self)
    }
}

/// Reads the query of a request.
pub(super) fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, Problem> {
    let text = parts.uri.query().unwrap_or_default();
    let pairs = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let pointer = pointer(error.path());
        let problem = field_problem(pointer, &error.into_inner().to_string());
        let mut query_problem = Problem::new(Code::Invalid);
        for wrong in problem.errors() {
            let name = wrong.pointer.trim_start_matches('/');
            query_problem =
                query_problem.field(format!("?{name}"), wrong.code.clone(), wrong.detail.clone());
        }
        query_problem
    })
}

#[cfg(test)]
mod tests;
