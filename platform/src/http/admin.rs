//! The admin port: is the process alive, is it ready, what does it count. Never routed from outside.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::{BoxFuture, FutureExt as _, join_all};
use serde::Serialize;
use tokio::net::TcpListener;

use super::json::Json;
use super::problem::{Code, Problem};
use super::server;
use crate::shutdown::Shutdown;
use crate::telemetry::Metrics;

/// Longest that one readiness check may take; all run at the same time.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Most connections to the admin port.
const MAX_CONNECTIONS: usize = 64;

type Check = Box<dyn Fn() -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>;

/// What must work for the service to be ready, by name.
#[derive(Default)]
pub struct Checks(Vec<(&'static str, Check)>);

impl Checks {
    /// No checks: ready as long as the process is not stopping.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check. It must be cheap: it runs every few seconds for as long as the service does.
    #[must_use]
    pub fn with<F, Fut, E>(mut self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error>,
    {
        let check = move || {
            let checking = check();
            async move { checking.await.map_err(Into::into) }.boxed()
        };
        self.0.push((name, Box::new(check)));
        self
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

#[derive(Clone)]
struct Admin {
    checks: Arc<Checks>,
    metrics: Metrics,
    shutdown: Shutdown,
    check_timeout: Duration,
}

/// `/healthz`, `/readyz` and `/metrics`.
pub fn router(checks: Checks, metrics: Metrics, shutdown: Shutdown) -> Router {
    with_state(Admin {
        checks: Arc::new(checks),
        metrics,
        shutdown,
        check_timeout: CHECK_TIMEOUT,
    })
}

fn with_state(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .fallback(server::not_found)
        .with_state(admin)
}

/// Serves the admin port for as long as the runtime lives: while the service stops it is still asked whether it is
/// ready. Spawn it.
pub async fn serve(
    listener: TcpListener,
    checks: Checks,
    metrics: Metrics,
    shutdown: Shutdown,
) -> io::Result<()> {
    let router = router(checks, metrics, shutdown);
    let never = Shutdown::new();
    server::accept(listener, router, MAX_CONNECTIONS, Duration::ZERO, never).await
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

/// The process runs. It asks nothing else: a database that is away is no reason to restart this process.
async fn healthz() -> Json<Status> {
    Json(Status { status: "alive" })
}

async fn readyz(State(admin): State<Admin>) -> Response {
    if admin.shutdown.is_requested() {
        return Problem::new(Code::Unavailable)
            .detail("stopping")
            .into_response();
    }
    let results = admin.checks.0.iter().map(async |(name, check)| {
        match tokio::time::timeout(admin.check_timeout, check()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some((*name, format!("{error:#}"))),
            Err(_) => Some((*name, format!("no answer in {:?}", admin.check_timeout))),
        }
    });
    let failed: Vec<_> = join_all(results).await.into_iter().flatten().collect();
    if failed.is_empty() {
        return Json(Status { status: "ready" }).into_response();
    }
    let names: Vec<&str> = failed.iter().map(|(name, _)| *name).collect();
    let problem =
        Problem::new(Code::Unavailable).detail(format!("not ready: {}", names.join(", ")));
    failed
        .into_iter()
        .fold(problem, |problem, (name, reason)| {
            problem.field(name, "not-ready", reason)
        })
        .into_response()
}

async fn render(State(admin): State<Admin>) -> impl IntoResponse {
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (text, admin.metrics.render())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    async fn fetch(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_means_every_check_passes_and_no_stop() {
        let shutdown = Shutdown::new();
        let checks = Checks::new().with("kafka", async || Ok::<_, io::Error>(()));
        let router = router(checks, Metrics::detached(), shutdown.clone());
        for path in ["/healthz", "/readyz", "/metrics"] {
            assert_eq!(fetch(&router, path).await.0, 200, "{path}");
        }
        assert_eq!(fetch(&router, "/v1/orders").await.0, 404);
        shutdown.trigger();
        assert_eq!(fetch(&router, "/readyz").await.0, 503);
        assert_eq!(fetch(&router, "/healthz").await.0, 200);
    }

    #[tokio::test]
    async fn those_that_are_not_ready_are_named() {
        let checks = Checks::new()
            .with("kafka", async || Ok::<_, io::Error>(()))
            .with("cql", async || Err(io::Error::other("refused")))
            .with("registry", std::future::pending::<anyhow::Result<()>>);
        let router = with_state(Admin {
            checks: Arc::new(checks),
            metrics: Metrics::detached(),
            shutdown: Shutdown::new(),
            check_timeout: Duration::from_millis(20),
        });
        let (status, body) = fetch(&router, "/readyz").await;
        assert_eq!(status, 503);
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["detail"], "not ready: cql, registry");
        assert_eq!(problem["errors"][0]["detail"], "refused");
        assert_eq!(problem["errors"][1]["detail"], "no answer in 20ms");
    }
}
