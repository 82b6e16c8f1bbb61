//! What has begun is carried to its end, whether or not the client still listens: whoever hangs up between a change and
//! what belongs to it must not separate them.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use platform::context::RequestContext;
use platform::http::{Code, Problem, server};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Most requests at work. Those whose clients have hung up hold no connection, which would bound them.
const MAX_AT_WORK: usize = server::MAX_CONNECTIONS;

/// Requests at work, and how long one may be.
#[derive(Clone)]
pub struct AtWork {
    /// The work, to be waited for before the process ends.
    pub tasks: TaskTracker,
    /// The limit that the server has as well.
    pub time_limit: Duration,
}

/// Runs the rest of the request as a task of its own.
pub async fn to_the_end(State(work): State<AtWork>, request: Request, next: Next) -> Response {
    if work.tasks.len() >= MAX_AT_WORK {
        return Problem::new(Code::Overloaded).into_response();
    }
    let AtWork { tasks, time_limit } = work;
    let rest = async move {
        match tokio::time::timeout(time_limit, next.run(request)).await {
            Ok(response) => response,
            Err(elapsed) => Problem::unavailable(elapsed).into_response(),
        }
    };
    let rest = rest.in_current_span();
    let task = match RequestContext::current() {
        Some(context) => tasks.spawn(context.scope(rest)),
        None => tasks.spawn(rest),
    };
    match task.await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            // As if it had panicked here: the server answers and logs it.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Problem::unavailable(cancelled).into_response(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use futures::FutureExt as _;
    use tokio::sync::{Notify, oneshot};
    use tower::ServiceExt as _;

    fn work(time_limit: Duration) -> AtWork {
        AtWork {
            tasks: TaskTracker::new(),
            time_limit,
        }
    }

    fn post_to(path: &str) -> Request {
        Request::post(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn who_hangs_up_stops_nothing_and_the_end_waits_for_it() {
        let (go, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (done, mut is_done) = oneshot::channel();
        let done = Arc::new(std::sync::Mutex::new(Some(done)));
        let handler = {
            let (go, begun) = (Arc::clone(&go), Arc::clone(&begun));
            async move || {
                begun.notify_one();
                go.notified().await;
                let id = RequestContext::current().unwrap().request_id().to_owned();
                done.lock().unwrap().take().unwrap().send(id).unwrap();
            }
        };
        let work = work(Duration::from_secs(60));
        let router = Router::new()
            .route("/", post(handler))
            .route_layer(from_fn_with_state(work.clone(), to_the_end));
        let context = RequestContext::from_headers(Some("one"), None);
        let mut request = Box::pin(context.scope(router.oneshot(post_to("/"))));
        assert!(request.as_mut().now_or_never().is_none());
        begun.notified().await;
        drop(request);
        assert!(is_done.try_recv().is_err());
        work.tasks.close();
        assert!(work.tasks.wait().now_or_never().is_none());
        go.notify_one();
        work.tasks.wait().await;
        assert_eq!(is_done.await.unwrap(), "one");
    }

    #[tokio::test]
    async fn nothing_is_at_work_for_ever() {
        let work = work(Duration::from_millis(10));
        let router = Router::new()
            .route("/", post(std::future::pending::<()>))
            .route_layer(from_fn_with_state(work.clone(), to_the_end));
        let answer = router.oneshot(post_to("/")).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert!(work.tasks.is_empty());
    }
}
