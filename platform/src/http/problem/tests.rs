//! Tests of the module above.

use super::*;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

async fn answer(problem: Problem) -> (axum::http::response::Parts, Value) {
    let (parts, body) = problem.into_response().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn a_problem_has_the_members_of_rfc_9457() {
    let problem = Problem::new(Code::Invalid)
        .detail("two fields are wrong")
        .field("/quantity", "range", "from 1 to 10")
        .field("/lines/0/id", "unknown", String::from("no such type"));
    let (parts, body) = RequestContext::from_headers(Some("request-1"), None)
        .scope(answer(problem))
        .await;
    assert_eq!(parts.status, 422);
    assert_eq!(
        parts.headers[header::CONTENT_TYPE],
        "application/problem+json"
    );
    assert_eq!(
        body,
        json!({
            "type": "/problems/invalid",
            "title": "The request can be read but is not valid",
            "status": 422,
            "detail": "two fields are wrong",
            "code": "invalid",
            "instance": "request-1",
            "errors": [
                {"pointer": "/quantity", "code": "range", "detail": "from 1 to 10"},
                {"pointer": "/lines/0/id", "code": "unknown", "detail": "no such type"},
            ],
        })
    );
}

#[tokio::test]
async fn headers_follow_the_status() {
    for (problem, name, value) in [
        (
            Problem::new(Code::Unauthenticated),
            "www-authenticate",
            Some(r#"Bearer realm="ticketing""#),
        ),
        (
            Problem::new(Code::BadCredentials),
            "www-authenticate",
            Some(r#"Bearer realm="ticketing""#),
        ),
        (
            Problem::new(Code::TokenExpired),
            "www-authenticate",
            Some(r#"Bearer realm="ticketing", error="invalid_token", error_description="expired""#),
        ),
        (Problem::new(Code::Forbidden), "www-authenticate", None),
        (
            Problem::new(Code::TooManyRequests),
            "retry-after",
            Some("2"),
        ),
        (
            Problem::new(Code::PaymentPending).retry_after(10),
            "retry-after",
            Some("10"),
        ),
        (Problem::new(Code::SoldOut), "retry-after", None),
        (
            Problem::new(Code::RequestInProgress).retry_after(1),
            "retry-after",
            Some("1"),
        ),
    ] {
        let (parts, _) = answer(problem).await;
        let found = parts.headers.get(name).map(|v| v.to_str().unwrap());
        assert_eq!(found, value, "{parts:?}");
    }
}

#[tokio::test]
async fn a_cause_is_kept_from_the_client() {
    let error = anyhow::anyhow!("password hunter2 refused")
        .context("connect")
        .context("read the order");
    let (parts, body) = answer(Problem::internal(error)).await;
    assert_eq!(parts.status, 500);
    assert!(!body.to_string().contains("hunter2"), "{body}");
    let cause = parts.extensions.get::<Cause>().unwrap();
    assert_eq!(cause.0, "read the order: connect: password hunter2 refused");
}

#[test]
fn codes_are_unique_and_in_kebab_case() {
    let mut seen = std::collections::HashSet::new();
    for code in Code::ALL {
        assert!(seen.insert(code.as_str()), "{code}");
        assert!(
            code.as_str()
                .bytes()
                .all(|b| b == b'-' || b.is_ascii_lowercase()),
            "{code}"
        );
        assert!(code.status().is_client_error() || code.status().is_server_error());
    }
}

#[test]
fn a_validation_without_problems_is_ok() {
    assert!(Problem::new(Code::Invalid).or_ok().is_ok());
    assert!(
        Problem::invalid("/a", "required", "missing")
            .or_ok()
            .is_err()
    );
}
