//! Clients in a closed loop that make calls which were prepared before.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::connection::{Connection, authority, connect};
use crate::cpu::Processes;
use crate::figures::{Plan, Run};
use crate::meter::Meter;

/// Answers on the way at the end are waited for this long.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// A call to be made again and again; its answer is 200.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Method.
    pub method: Method,
    /// Path.
    pub path: &'static str,
    /// Who calls, if anyone is signed in.
    pub authorization: Option<HeaderValue>,
    /// JSON, or nothing.
    pub body: Bytes,
}

/// Lets as many clients make the calls as there are lists of them, each client those of its list in turn.
pub async fn run(
    url: &str,
    calls: Vec<Vec<Prepared>>,
    plan: Plan,
    processes: &Processes,
) -> anyhow::Result<Run> {
    let authority = authority(url)?;
    let host = HeaderValue::from_str(&authority)?;
    let (count, meter) = (calls.len(), Arc::new(Meter::new()?));
    let mut clients = JoinSet::new();
    for calls in calls {
        let connection = connect(&authority).await?;
        clients.spawn(client(connection, host.clone(), calls, Arc::clone(&meter)));
    }
    let measured = meter.measure(count, plan, processes).await?;
    timeout(LAST_ANSWERS_WITHIN, async {
        while clients.join_next().await.is_some() {}
    })
    .await
    .context("some of the last calls got no answer")?;
    Ok(Run {
        failures: meter.failures(),
        ..measured
    })
}

async fn client(
    mut connection: Connection,
    host: HeaderValue,
    calls: Vec<Prepared>,
    meter: Arc<Meter>,
) {
    for call in calls.iter().cycle() {
        if meter.has_ended() {
            return;
        }
        let began = Instant::now();
        match make(&mut connection, &host, call).await {
            Ok(StatusCode::OK) => meter.answered(began.elapsed()),
            Ok(status) => meter.failed(format!("{}: {status}", call.path)),
            Err(error) => {
                meter.failed(format!("no answer: {error:#}"));
                return;
            }
        }
    }
}

async fn make(
    connection: &mut Connection,
    host: &HeaderValue,
    call: &Prepared,
) -> anyhow::Result<StatusCode> {
    connection.ready().await?;
    let mut request = Request::builder()
        .method(&call.method)
        .uri(call.path)
        .header(HOST, host);
    if let Some(authorization) = &call.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    if !call.body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let request = request.body(Full::new(call.body.clone()))?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    Ok(status)
}
