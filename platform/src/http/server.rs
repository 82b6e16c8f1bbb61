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
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::client::Peer;
use super::header::{TRACEPARENT, X_REQUEST_ID};
use super::problem::{Cause, Code, Problem};
use crate::context::RequestContext;
use crate::shutdown::Shutdown;

/// Largest body that is read, unless a route sets another `DefaultBodyLimit`.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Longest that a handler may take; above the longest wait that the API promises (10 s for a payment).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Most connections at a time, of about 20 KB each. HTTP/1 has one request in flight on each, so this bounds the requests
/// as well; further clients wait in the listen queue.
pub const MAX_CONNECTIONS: usize = 16_384;
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
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Either the client is gone already or the process has no descriptor left. Both pass.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without it an answer in two writes waits for the client's delayed ACK, about 40 ms. Failing only costs that.
        _ = stream.set_nodelay(true);
        let routes = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(address.ip()));
            routes.call(request)
        });
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
mod tests;
