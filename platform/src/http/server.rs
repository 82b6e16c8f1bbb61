//! The public port: what happens to every request before and after its handler, and how connections begin and end.

use std::any::Any;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::header::{TRACEPARENT, X_REQUEST_ID};
use super::problem::{Cause, Code, Problem};
use crate::context::RequestContext;
use crate::shutdown::Shutdown;

/// Largest body that is read, unless a route sets another `DefaultBodyLimit`.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Longest that a handler may take; above the longest wait that the API promises (10 s for a payment).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Most connections at a time. HTTP/1 has one request in flight on each, so this bounds the requests as well; further
/// clients wait in the listen queue.
pub const MAX_CONNECTIONS: usize = 8_192;
/// How long requests in flight may take to end once the stop was asked for.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(20);
/// How long a client may take to send its headers. It also ends connections that are idle for so long: a proxy in
/// front must drop its idle ones sooner, else it sends a request into a connection that is just being closed.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(75);
/// Largest head of a request.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long accepting pauses when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The limits of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// See [`MAX_BODY_BYTES`].
    pub body_bytes: usize,
    /// See [`REQUEST_TIMEOUT`].
    pub request_timeout: Duration,
    /// See [`MAX_CONNECTIONS`].
    pub connections: usize,
    /// See [`DRAIN_DEADLINE`].
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: MAX_BODY_BYTES,
            request_timeout: REQUEST_TIMEOUT,
            connections: MAX_CONNECTIONS,
            drain: DRAIN_DEADLINE,
        }
    }
}

/// Serves `router` with the standard layers until the stop is asked for and the requests in flight have ended, or the
/// drain deadline has.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: Shutdown,
) -> io::Result<()> {
    let router = with_standard_layers(router, limits);
    accept(listener, router, limits.connections, limits.drain, shutdown).await
}

/// What every request passes through; [`serve`] adds it, a test without a server can too.
///
/// Around the handler, from the outside in: the request's id, trace, log line and metrics; the time limit; panics as
/// 500; the body limit. Unknown paths and methods are problems as well.
pub fn with_standard_layers(router: Router, limits: Limits) -> Router {
    router
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(from_fn_with_state(limits, around_request))
}

/// 404 `not-found`, for paths that no route has.
pub async fn not_found() -> Problem {
    Problem::new(Code::NotFound)
}

/// 405 `method-not-allowed`, for routes that lack the method.
pub async fn method_not_allowed() -> Problem {
    Problem::new(Code::MethodNotAllowed)
}

/// One layer and not six, since the hot path passes here thousands of times a second.
async fn around_request(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let context = RequestContext::from_headers(
        header(request.headers(), &X_REQUEST_ID),
        header(request.headers(), &TRACEPARENT),
    );
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    // At level error, so that no log filter can take the request id off an error's line.
    let request_id = context.request_id();
    let span = tracing::error_span!("request", request_id, method, route);

    let work = async {
        // A handler's state is behind Arcs whose locks recover from poison; what it was about to answer is dropped.
        let handler = AssertUnwindSafe(next.run(request)).catch_unwind();
        match tokio::time::timeout(limits.request_timeout, handler).await {
            Ok(Ok(response)) => response,
            Ok(Err(panic)) => panicked(&*panic).into_response(),
            Err(_) => timed_out(limits.request_timeout).into_response(),
        }
    };
    let mut response = context.clone().scope(work).instrument(span.clone()).await;

    let headers = response.headers_mut();
    for (name, value) in [
        (X_REQUEST_ID, context.request_id()),
        (TRACEPARENT, context.traceparent()),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    let elapsed = started.elapsed();
    span.in_scope(|| log(&response, elapsed));
    metrics::histogram!(
        "http_request_duration_seconds",
        "method" => method,
        "route" => route.to_owned(),
        "status" => response.status().as_str().to_owned(),
    )
    .record(elapsed);
    response
}

/// One line for each request. Failures of ours at error, with what caused them; everything else at debug, since a
/// line for each sold ticket would cost more than selling it.
fn log(response: &Response, elapsed: Duration) {
    let status = response.status().as_u16();
    let ms = elapsed.as_micros() as f64 / 1_000.0;
    match response.extensions().get::<Cause>() {
        Some(Cause(error)) => tracing::error!(status, ms, error, "request failed"),
        // A 503 without a cause is load that is turned away on purpose. It is counted; logging it would add to the load.
        None if response.status().is_server_error()
            && response.status() != StatusCode::SERVICE_UNAVAILABLE =>
        {
            tracing::error!(status, ms, "request failed");
        }
        None => tracing::debug!(status, ms, "request done"),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// A method as a label: clients can invent methods, and each new label value would cost memory for ever.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Problem {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)");
    Problem::internal(anyhow::anyhow!("the handler panicked: {message}"))
}

fn timed_out(limit: Duration) -> Problem {
    Problem::unavailable(anyhow::anyhow!("the handler took longer than {limit:?}"))
        .detail("this took too long and may still have happened; repeat it with the same key")
}

/// Accepts connections until the stop, then waits for them.
pub(super) async fn accept(
    listener: TcpListener,
    router: Router,
    connections: usize,
    drain: Duration,
    shutdown: Shutdown,
) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    let cut = CancellationToken::new();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES);

    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = shutdown.requested() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Either the client is gone already or the process has no descriptor left. Both pass.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without it an answer in two writes waits for the client's delayed ACK, about 40 ms. Failing only costs that.
        _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        let cut = cut.clone();
        tokio::spawn(async move {
            let _slot = slot;
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection broke");
                    }
                }
                () = cut.cancelled() => {}
            }
        });
    }

    drop(listener);
    if tokio::time::timeout(drain, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            ?drain,
            "connections were cut: their requests did not end in time"
        );
        cut.cancel();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
        let early =
            tokio::time::timeout(Duration::from_millis(50), running.entered.notified()).await;
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
}
