//! What the server logs. In a process of its own: `tracing` decides once per process and line whether anybody
//! listens, and tests beside this one would sometimes have decided it first.

use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use platform::http::server::{Limits, with_standard_layers};
use platform::http::{Code, Problem};
use tower::ServiceExt as _;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock().expect("no writer panics"));
        String::from_utf8(bytes).expect("log lines are text")
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("no writer panics")
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_failure_is_one_line_with_cause_and_id_and_without_credentials() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::fmt()
        .with_env_filter("error")
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let bug = async || Problem::internal(anyhow::anyhow!("hunter2").context("read"));
    let away = async || Problem::unavailable(io::Error::other("refused"));
    let router = Router::new()
        .route("/bug", get(bug))
        .route("/bug/{id}", get(async || -> () { panic!("slipped") }))
        .route("/away", get(away))
        .route("/bare", get(async || axum::http::StatusCode::BAD_GATEWAY))
        .route("/busy", get(async || Problem::new(Code::Overloaded)))
        .route("/good", get(async || "good"));
    let router = with_standard_layers(router, Limits::default());

    for (path, logged) in [
        (
            "/bug",
            Some("route=\"/bug\"}: platform::http::server: request failed status=500 "),
        ),
        ("/bug", Some("error=\"read: hunter2\"")),
        ("/bug/7", Some("error=\"the handler panicked: slipped\"")),
        ("/bug/7", Some("route=\"/bug/{id}\"")),
        ("/away", Some("error=\"refused\"")),
        ("/bare", Some("request failed status=502 ")),
        ("/busy", None),
        ("/good", None),
        ("/nowhere", None),
    ] {
        let request = Request::get(path)
            .header("x-request-id", "abc-3")
            .header("authorization", "Bearer s3cret")
            .body(Body::empty())
            .unwrap();
        router.clone().oneshot(request).await.unwrap();
        let text = lines.take();
        assert_eq!(
            text.lines().count(),
            usize::from(logged.is_some()),
            "{path}: {text}"
        );
        if let Some(part) = logged {
            assert!(text.contains(part), "{path}: {part} in {text}");
            assert!(
                text.contains("request_id=\"abc-3\" method=\"GET\""),
                "{path}: {text}"
            );
        }
        assert!(!text.contains("s3cret"), "{text}");
    }
}
