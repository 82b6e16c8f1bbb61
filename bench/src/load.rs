//! Clients in a closed loop: each sends its next order when the last one is answered.
//!
//! One thread and one connection per client, with as little between the socket and the clock as
//! HTTP allows: on a small machine the clients take their CPU time from the servers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use e2e::{PublishedEvent, orders};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use platform::ids::new_id;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::connection::{Connection, authority, connect};
use crate::cpu::Processes;
use crate::figures::{Plan, Run};
use crate::meter::Meter;

/// Orders on the way at the end are waited for this long: above every time limit of the servers.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// Lets one client per token buy single tickets of `event` at `url`.
pub async fn run(
    url: &str,
    tokens: &[String],
    event: &PublishedEvent,
    plan: Plan,
    processes: &Processes,
) -> anyhow::Result<Run> {
    let authority = authority(url)?;
    let lines: Vec<_> = event
        .ticket_types
        .iter()
        .map(|ticket_type| (*ticket_type, 1))
        .collect();
    let body = Bytes::from(orders::order_body(event.id, &lines).to_string());
    let meter = Arc::new(Meter::new()?);
    let mut clients = JoinSet::new();
    for token in tokens {
        let client = Client {
            connection: connect(&authority).await?,
            host: HeaderValue::from_str(&authority)?,
            authorization: HeaderValue::from_str(&format!("Bearer {token}"))?,
            body: body.clone(),
        };
        clients.spawn(client.buy(Arc::clone(&meter)));
    }
    let measured = meter.measure(tokens.len(), plan, processes).await?;
    timeout(LAST_ANSWERS_WITHIN, async {
        while clients.join_next().await.is_some() {}
    })
    .await
    .context("some of the last orders got no answer")?;
    Ok(Run {
        failures: meter.failures(),
        ..measured
    })
}

struct Client {
    connection: Connection,
    host: HeaderValue,
    authorization: HeaderValue,
    body: Bytes,
}

impl Client {
    async fn buy(mut self, meter: Arc<Meter>) {
        while !meter.has_ended() {
            let began = Instant::now();
            match self.order().await {
                Ok((StatusCode::CREATED, _)) => meter.answered(began.elapsed()),
                Ok((status, body)) => {
                    meter.failed(format!("{} {}", status.as_u16(), problem_code(&body)));
                }
                Err(error) => {
                    meter.failed(format!("no answer: {error:#}"));
                    return;
                }
            }
        }
    }

    async fn order(&mut self) -> anyhow::Result<(StatusCode, Bytes)> {
        self.connection.ready().await?;
        let key = new_id().hyphenated().to_string();
        let request = Request::post("/v1/orders")
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Full::new(self.body.clone()))?;
        let answer = self.connection.send_request(request).await?;
        let status = answer.status();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|error| anyhow!(error).context("half an answer"))?;
        Ok((status, body.to_bytes()))
    }
}

/// `sold-out` of a problem document.
fn problem_code(body: &[u8]) -> String {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    problem["code"]
        .as_str()
        .unwrap_or("without a code")
        .to_owned()
}
