//! Tests of the module above.

use super::*;
use axum::body::Body;
use axum::routing::get;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::sync::Notify;
use tower::ServiceExt as _;

use crate::http::RequestId;

fn app(limits: Limits) -> Router {
    let router = Router::new()
        .route("/id", get(async |RequestId(id): RequestId| id))
        .route("/slow", get(std::future::pending::<()>))
        .route("/panic", get(async || -> () { panic!("hunter2") }))
        .route(
            "/bug",
            get(async || Problem::internal(anyhow::anyhow!("hunter2").context("read"))),
        )
        .route("/busy", get(async || Problem::new(Code::Overloaded)));
    with_standard_layers(router, limits)
}

async fn fetch(path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
    let limits = Limits {
        request_timeout: Duration::from_millis(50),
        ..Limits::default()
    };
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app(limits)
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (
        parts.status,
        parts.headers,
        String::from_utf8(body.to_vec()).unwrap(),
    )
}

#[tokio::test]
async fn ids_are_kept_and_returned() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let sent = [("x-request-id", "abc-1"), ("traceparent", trace)];
    let (_, headers, body) = fetch("/id", &sent).await;
    assert_eq!(body, "abc-1");
    assert_eq!(headers["x-request-id"], "abc-1");
    assert_eq!(headers["traceparent"], trace);

    let (_, headers, body) = fetch("/id", &[("x-request-id", "has space")]).await;
    assert_eq!(headers["x-request-id"], body.as_str());
    assert_ne!(body, "has space");
    assert!(headers.contains_key("traceparent"));
}

#[tokio::test]
async fn failures_are_problems_with_the_request_id_and_nothing_else() {
    for (path, status, code) in [
        ("/panic", 500, "internal"),
        ("/bug", 500, "internal"),
        ("/slow", 503, "unavailable"),
        ("/busy", 503, "overloaded"),
        ("/nowhere", 404, "not-found"),
    ] {
        let (found, headers, body) = fetch(path, &[("x-request-id", "abc-2")]).await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(found, status, "{path}");
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(headers["x-request-id"], "abc-2");
        assert_eq!(problem["code"], code);
        assert_eq!(problem["instance"], "abc-2", "{path}");
        assert!(!body.contains("hunter2"), "{body}");
        assert_eq!(headers.contains_key("retry-after"), status == 503, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_names_the_right_ones() {
    let request = Request::delete("/id").body(Body::empty()).unwrap();
    let response = app(Limits::default()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET,HEAD");
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
}

#[tokio::test]
async fn a_request_is_measured_by_its_route() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let guard = metrics::set_default_local_recorder(&recorder);
    fetch("/id", &[]).await;
    fetch("/nowhere/7", &[]).await;
    drop(guard);
    let text = handle.render();
    for labels in [
        r#"method="GET",route="/id",status="200""#,
        r#"method="GET",route="unmatched",status="404""#,
    ] {
        assert!(text.contains(labels), "{labels} in {text}");
    }
}

/// A server whose one route says when it was entered and waits until it is let go.
struct Running {
    url: String,
    entered: Arc<Notify>,
    release: Arc<Notify>,
    shutdown: Shutdown,
    server: tokio::task::JoinHandle<io::Result<()>>,
}

async fn run(limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/wait", listener.local_addr().unwrap());
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, release) = (Arc::clone(&entered), Arc::clone(&release));
        async move || {
            entered.notify_one();
            release.notified().await;
            "done"
        }
    };
    let router = Router::new().route("/wait", get(handler));
    let shutdown = Shutdown::new();
    let server = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
    Running {
        url,
        entered,
        release,
        shutdown,
        server,
    }
}

#[tokio::test]
async fn a_stop_lets_requests_in_flight_end() {
    let running = run(Limits::default()).await;
    let request = tokio::spawn(reqwest::get(running.url.clone()));
    running.entered.notified().await;
    running.shutdown.trigger();
    // The port closes before the request in flight has ended.
    while tokio::net::TcpStream::connect(running.url[7..].trim_end_matches("/wait"))
        .await
        .is_ok()
    {
        tokio::task::yield_now().await;
    }
    assert!(!running.server.is_finished());
    running.release.notify_one();
    let response = request.await.unwrap().unwrap();
    assert_eq!(response.text().await.unwrap(), "done");
    running.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_ends_at_the_deadline() {
    let limits = Limits {
        drain: Duration::from_millis(50),
        ..Limits::default()
    };
    let running = run(limits).await;
    let request = tokio::spawn(reqwest::get(running.url.clone()));
    running.entered.notified().await;
    running.shutdown.trigger();
    running.server.await.unwrap().unwrap();
    assert!(request.await.unwrap().is_err(), "the connection is cut");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let running = run(limits).await;
    let first = tokio::spawn(reqwest::get(running.url.clone()));
    running.entered.notified().await;
    let mut second = tokio::spawn(reqwest::get(running.url.clone()));
    let early = tokio::time::timeout(Duration::from_millis(50), running.entered.notified()).await;
    assert!(
        early.is_err(),
        "the second request has not reached its handler"
    );
    running.release.notify_one();
    drop(first.await.unwrap().unwrap());
    running.entered.notified().await;
    running.release.notify_one();
    assert!((&mut second).await.unwrap().is_ok());
}
