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

use super::problem::{Code, Problem};

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
                .detail("send the body with Content-Type: application/json"));
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

/// Reads JSON as the [`Json`] extractor does, for bytes that came another way.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Following the path of every field costs time that only a wrong body should cost.
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(error) if error.classify() == Category::Data => Err(explain::<T>(bytes)),
        Err(error) => Err(malformed(&error)),
    }
}

/// Why JSON, or what looks like it, is not a `T`.
fn explain<T: DeserializeOwned>(bytes: &[u8]) -> Problem {
    // A wrong field is noticed before the rest is read, and the rest may not be JSON at all.
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(bytes) {
        return malformed(&error);
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut json) {
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
    Problem::invalid(pointer, code, message.to_owned())
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
    essence.is_some_and(|essence| {
        essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
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
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use http_body_util::BodyExt as _;
    use serde::Deserialize;
    use serde_json::{Value, json};
    use tower::ServiceExt as _;
    use uuid::Uuid;

    use crate::http::PageQuery;
    use crate::http::server::{Limits, with_standard_layers};
    use crate::money::Money;

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct OrderIn {
        event_id: Uuid,
        lines: Vec<LineIn>,
        #[serde(default)]
        price: Option<Money>,
        #[serde(default)]
        method: Option<Method>,
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct LineIn {
        quantity: u32,
        #[serde(default, rename = "a/b~c")]
        odd: Option<u8>,
    }

    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
    enum Method {
        Simulated { card: String },
    }

    #[derive(Debug, Serialize, Deserialize)]
    struct Filter {
        city: Option<String>,
        floor: Option<u8>,
    }

    fn app() -> Router {
        let limits = Limits {
            body_bytes: 1_000,
            ..Limits::default()
        };
        let router = Router::new()
            .route(
                "/orders",
                post(async |Json(order): Json<OrderIn>| Json(order)),
            )
            .route(
                "/raw",
                post(async |RawBody(bytes): RawBody| bytes.len().to_string()),
            )
            .route(
                "/orders/{id}",
                get(async |Path(id): Path<Uuid>| id.to_string()),
            )
            .route(
                "/events",
                get(async |page: PageQuery, Query(filter): Query<Filter>| {
                    _ = page.cursor::<(String, u32)>()?;
                    Ok::<_, Problem>(Json((page.limit(), filter)))
                }),
            );
        with_standard_layers(router, limits)
    }

    async fn send(request: Request) -> (StatusCode, Value) {
        let response = app().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn send_order(content_type: &str, body: impl Into<Body>) -> (StatusCode, Value) {
        let request = Request::post("/orders")
            .header("content-type", content_type)
            .body(body.into())
            .unwrap();
        send(request).await
    }

    async fn fetch(path: &str) -> (StatusCode, Value) {
        send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    #[tokio::test]
    async fn a_good_body_is_read() {
        let body =
            r#"{"event_id":"00000000-0000-0000-0000-000000000001","lines":[{"quantity":2}]}"#;
        for content_type in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/cloudevents+json",
        ] {
            let (status, answer) = send_order(content_type, body).await;
            assert_eq!(status, 200, "{content_type}: {answer}");
            assert_eq!(answer["lines"][0]["quantity"], 2);
        }
    }

    #[tokio::test]
    async fn other_media_types_are_415() {
        for content_type in [
            "text/plain",
            "application/jsonp",
            "application/x-www-form-urlencoded",
            "json",
            "",
        ] {
            let (status, problem) = send_order(content_type, "{}").await;
            assert_eq!(status, 415, "{content_type}");
            assert_eq!(problem["code"], "unsupported-media-type");
        }
        let none = Request::post("/orders").body(Body::from("{}")).unwrap();
        assert_eq!(send(none).await.0, 415);
    }

    #[tokio::test]
    async fn what_is_not_json_is_400() {
        let deep = "[".repeat(500);
        for body in [
            "",
            "{",
            "{'a':1}",
            "{} {}",
            "nul",
            "{\"lines\":1,}",
            &deep,
            // The first field is wrong and the rest is not JSON.
            r#"{"event_id": 7, "lines": ["#,
        ] {
            let (status, problem) = send_order("application/json", body.to_owned()).await;
            assert_eq!(
                (status.as_u16(), &problem["code"]),
                (400, &json!("malformed")),
                "{body}"
            );
        }
        assert_eq!(
            send_order("application/json", vec![b'"', 0xff, b'"'])
                .await
                .0,
            400
        );
    }

    #[tokio::test]
    async fn json_that_is_wrong_is_422_with_a_pointer() {
        const ID: &str = r#""event_id":"00000000-0000-0000-0000-000000000001""#;
        for (body, pointer, code) in [
            ("[]".to_owned(), "", "invalid"),
            ("[1]".to_owned(), "/0", "type"),
            ("null".to_owned(), "", "type"),
            (r#"{"lines":[]}"#.to_owned(), "/event_id", "required"),
            (format!("{{{ID}}}"), "/lines", "required"),
            (
                r#"{"event_id":"x","lines":[]}"#.to_owned(),
                "/event_id",
                "invalid",
            ),
            (format!(r#"{{{ID},"lines":7}}"#), "/lines", "type"),
            (
                format!(r#"{{{ID},"lines":[{{"quantity":1}},{{"quantity":"2"}}]}}"#),
                "/lines/1/quantity",
                "type",
            ),
            (
                format!(r#"{{{ID},"lines":[{{"quantity":-1}}]}}"#),
                "/lines/0/quantity",
                "invalid",
            ),
            (
                format!(r#"{{{ID},"lines":[{{}}]}}"#),
                "/lines/0/quantity",
                "required",
            ),
            (
                format!(r#"{{{ID},"lines":[{{"quantity":1,"a/b~c":"x"}}]}}"#),
                "/lines/0/a~1b~0c",
                "type",
            ),
            (
                format!(r#"{{{ID},"lines":[{{"quantity":1,"x/y":0}}]}}"#),
                "/lines/0/x~1y",
                "unknown",
            ),
            (
                format!(r#"{{{ID},"lines":[],"color":"red"}}"#),
                "/color",
                "unknown",
            ),
            (
                format!(r#"{{{ID},"lines":[],"price":{{"amount":1,"currency":"eur"}}}}"#),
                "/price/currency",
                "invalid",
            ),
            (
                format!(r#"{{{ID},"lines":[],"method":{{"type":"cash"}}}}"#),
                "/method/type",
                "unknown",
            ),
            (
                format!(r#"{{{ID},"lines":[],"method":{{"type":"simulated"}}}}"#),
                "/method/card",
                "required",
            ),
        ] {
            let (status, problem) = send_order("application/json", body.clone()).await;
            assert_eq!(
                (status.as_u16(), &problem["code"]),
                (422, &json!("invalid")),
                "{body}"
            );
            let errors = problem["errors"].as_array().unwrap();
            assert_eq!(errors.len(), 1, "{body}");
            assert_eq!(
                (&errors[0]["pointer"], &errors[0]["code"]),
                (&json!(pointer), &json!(code)),
                "{body}: {problem}"
            );
            let detail = errors[0]["detail"].as_str().unwrap();
            assert!(
                !detail.is_empty() && !detail.contains(" at line "),
                "{detail}"
            );
        }
    }

    #[tokio::test]
    async fn large_bodies_are_413() {
        for path in ["/orders", "/raw"] {
            let request = |size| {
                Request::post(path)
                    .header("content-type", "application/json")
                    .body(Body::from(vec![b' '; size]))
                    .unwrap()
            };
            let (status, problem) = send(request(1_001)).await;
            assert_eq!(
                (status.as_u16(), &problem["code"]),
                (413, &json!("too-large")),
                "{path}"
            );
            assert_ne!(send(request(1_000)).await.0, 413);
        }
    }

    #[tokio::test]
    async fn a_path_that_cannot_be_read_is_not_there() {
        assert_eq!(
            fetch("/orders/00000000-0000-0000-0000-000000000001")
                .await
                .0,
            200
        );
        for path in ["/orders/7", "/orders/%ff", "/orders/x/y", "/nowhere"] {
            let (status, problem) = fetch(path).await;
            assert_eq!(
                (status.as_u16(), &problem["code"]),
                (404, &json!("not-found")),
                "{path}"
            );
        }
        let (status, problem) = fetch("/orders").await;
        assert_eq!(
            (status.as_u16(), &problem["code"]),
            (405, &json!("method-not-allowed"))
        );
    }

    #[tokio::test]
    async fn queries_are_read_or_named() {
        let (status, answer) = fetch("/events?limit=10&city=Lyon").await;
        assert_eq!(
            (status.as_u16(), answer),
            (200, json!([10, {"city": "Lyon", "floor": null}]))
        );
        assert_eq!(fetch("/events?limit=&cursor=").await.1[0], 50);
        for (path, pointer) in [
            ("/events?limit=0", "?limit"),
            ("/events?limit=201", "?limit"),
            ("/events?limit=-1", "?limit"),
            ("/events?limit=ten", "?limit"),
            ("/events?floor=x", "?floor"),
            ("/events?cursor=x", "?cursor"),
            // Of another list: base64url of {}.
            ("/events?cursor=e30", "?cursor"),
        ] {
            let (status, problem) = fetch(path).await;
            assert_eq!(status, 422, "{path}");
            assert_eq!(
                problem["errors"][0]["pointer"], pointer,
                "{path}: {problem}"
            );
        }
    }
}
