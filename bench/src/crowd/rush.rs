//! Many clients that send one order each in the same moment, over connections that are kept open.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use bench::connection::{Connection, authority, connect};
use e2e::control::stack_command;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER};
use hyper::{Request, StatusCode};
use platform::ids::new_id;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Above every time limit of the service.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// The broker hangs no longer than this: an order is waited for 5 s, and shall be answered with 201.
const FROZEN_FOR: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(10);

/// What one client was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// `overloaded`; nothing where it was no problem.
    pub(crate) code: String,
    pub(crate) has_retry_after: bool,
    /// From the moment in which the client began to send.
    pub(crate) took: Duration,
}

/// Clients with open connections.
pub(crate) struct Crowd {
    host: HeaderValue,
    clients: Vec<Connection>,
}

impl Crowd {
    /// Opens so many connections to `url`.
    pub(crate) async fn gather(url: &str, clients: usize) -> anyhow::Result<Self> {
        let authority = authority(url)?;
        let mut crowd = Self {
            host: HeaderValue::from_str(&authority)?,
            clients: Vec::with_capacity(clients),
        };
        for _ in 0..clients {
            crowd.clients.push(connect(&authority).await?);
        }
        Ok(crowd)
    }

    /// Everybody sends `order` at once; `tokens` are shared. With `frozen` the broker hangs until all who are turned away
    /// have been told.
    pub(crate) async fn rush(
        &mut self,
        order: &Bytes,
        tokens: &[String],
        turned_away_if_frozen: Option<usize>,
    ) -> anyhow::Result<Vec<Answer>> {
        let authorizations = tokens
            .iter()
            .map(|token| HeaderValue::from_str(&format!("Bearer {token}")))
            .collect::<Result<Vec<_>, _>>()?;
        let (begin, begun) = watch::channel(false);
        let answered = Arc::new(AtomicUsize::new(0));
        let mut asking = JoinSet::new();
        for (client, authorization) in self.clients.drain(..).zip(authorizations.iter().cycle()) {
            let request = Request::post("/v1/orders")
                .header(HOST, &self.host)
                .header(AUTHORIZATION, authorization)
                .header(CONTENT_TYPE, "application/json")
                .header("idempotency-key", new_id().hyphenated().to_string())
                .body(Full::new(order.clone()))?;
            let (mut begun, answered) = (begun.clone(), Arc::clone(&answered));
            asking.spawn(async move {
                begun.wait_for(|begun| *begun).await?;
                let asked = ask(client, request).await;
                answered.fetch_add(1, Ordering::Relaxed);
                asked
            });
        }
        let clients = asking.len();
        if let Some(turned_away) = turned_away_if_frozen {
            stack_command("freeze", "kafka").await?;
            begin.send_replace(true);
            let all_told = async {
                while answered.load(Ordering::Relaxed) < turned_away {
                    sleep(LOOK).await;
                }
            };
            // Not all told: the figures will say so.
            _ = timeout(FROZEN_FOR, all_told).await;
            stack_command("thaw", "kafka").await?;
        } else {
            begin.send_replace(true);
        }
        let mut answers = Vec::with_capacity(clients);
        let all = async {
            while let Some(asked) = asking.join_next().await {
                let (client, answer) = asked??;
                self.clients.push(client);
                answers.push(answer);
            }
            anyhow::Ok(())
        };
        let all = timeout(ANSWERED_WITHIN, all).await;
        all.context("some got no answer")??;
        ensure!(answers.len() == clients, "some got no answer");
        Ok(answers)
    }
}

async fn ask(
    mut client: Connection,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(Connection, Answer)> {
    client.ready().await?;
    let began = Instant::now();
    let answer = client.send_request(request).await?;
    let status = answer.status();
    let has_retry_after = answer.headers().contains_key(RETRY_AFTER);
    let body = answer.into_body().collect().await;
    let body = body.map_err(|error| anyhow!(error).context("half an answer"))?;
    let took = began.elapsed();
    let code = if status.is_success() {
        String::new()
    } else {
        let problem: serde_json::Value = serde_json::from_slice(&body.to_bytes())?;
        problem["code"].as_str().unwrap_or_default().to_owned()
    };
    let answer = Answer {
        status,
        code,
        has_retry_after,
        took,
    };
    Ok((client, answer))
}
