//! Tests of the module above.

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

use crate::http::server::{Limits, with_standard_layers};
use crate::http::{PageAmong, PageQuery};
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
            get(
                async |PageAmong(page): PageAmong, Query(filter): Query<Filter>| {
                    _ = page.cursor::<(String, u32)>()?;
                    Ok::<_, Problem>(Json((page.limit(), filter)))
                },
            ),
        )
        .route("/tickets", get(async |page: PageQuery| Json(page.limit())));
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
    let body = r#"{"event_id":"00000000-0000-0000-0000-000000000001","lines":[{"quantity":2}]}"#;
    for content_type in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json; charset=\"UTF-8\"",
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
        "application/json; charset=utf-16",
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
        ("[]".to_owned(), "", "type"),
        (
            r#"["00000000-0000-0000-0000-000000000001", [{"quantity":1}]]"#.to_owned(),
            "",
            "type",
        ),
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
        // What serde would take: the fields of a struct in the order in which they are declared.
        (format!(r#"{{{ID},"lines":[[1]]}}"#), "/lines/0", "type"),
        (
            format!(r#"{{{ID},"lines":[{{"quantity":1}},[1,2]]}}"#),
            "/lines/1",
            "type",
        ),
        (
            format!(r#"{{{ID},"lines":[],"price":[100,"EUR"]}}"#),
            "/price",
            "type",
        ),
        (
            format!(r#"{{{ID},"lines":[],"method":["simulated","4242"]}}"#),
            "/method",
            "type",
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
        for inner in ["struct", "OrderIn", "LineIn", "enum", "u32", "sequence"] {
            assert!(!detail.contains(inner), "{detail}");
        }
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
    assert_eq!(fetch("/events?cursor=").await.1[0], 50);
    for (path, pointer) in [
        ("/events?limit=", "?limit"),
        ("/events?limit=0", "?limit"),
        ("/events?limit=201", "?limit"),
        ("/events?limit=-1", "?limit"),
        ("/events?limit=ten", "?limit"),
        ("/events?floor=x", "?floor"),
        ("/events?cursor=x", "?cursor"),
        // Of another list: base64url of {}.
        ("/events?cursor=e30", "?cursor"),
        ("/tickets?limits=10", "?limits"),
        ("/tickets?limit=0", "?limit"),
    ] {
        let (status, problem) = fetch(path).await;
        assert_eq!(status, 422, "{path}");
        assert_eq!(
            problem["errors"][0]["pointer"], pointer,
            "{path}: {problem}"
        );
    }
}
