//! Clients in a closed loop: each begins its next purchase when the last one is done.
//!
//! One thread and one connection per client, with as little between the socket and the clock as
//! HTTP allows: on a small machine the clients take their CPU time from the servers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use e2e::{PublishedEvent, orders};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use platform::ids::new_id;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::connection::{Connection, authority, connect};
use crate::cpu::Processes;
use crate::figures::{Plan, Run};
use crate::meter::Meter;

/// Orders on the way at the end are waited for this long: above every time limit of the servers.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// The simulated card that is always paid.
const CARD: &[u8] = br#"{"method":{"type":"simulated","card":"4242424242424242"}}"#;

/// How far a purchase goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purchase {
    /// The tickets are held: `POST /v1/orders`.
    Held,
    /// And paid with a card: `POST /v1/orders/{id}/payment`, which answers with the tickets.
    Paid,
}

/// Lets one client per token buy single tickets at `url`; the clients share the `events` out among themselves.
pub async fn run(
    url: &str,
    tokens: &[String],
    events: &[PublishedEvent],
    purchase: Purchase,
    plan: Plan,
    processes: &Processes,
) -> anyhow::Result<Run> {
    let bodies: Vec<Bytes> = events.iter().map(order_of_each).collect();
    let meter = Arc::new(Meter::new()?);
    let mut clients = JoinSet::new();
    for (token, body) in tokens.iter().zip(bodies.iter().cycle()) {
        let client = Client::new(url, token, body.clone(), purchase).await?;
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

/// Lets one client per token place orders at `url` until there are so many, and measures nothing. None may fail.
pub async fn place(
    url: &str,
    tokens: &[String],
    event: &PublishedEvent,
    orders: usize,
) -> anyhow::Result<()> {
    let left = Arc::new(AtomicUsize::new(orders));
    let mut clients = JoinSet::new();
    for token in tokens {
        let mut client = Client::new(url, token, order_of_each(event), Purchase::Held).await?;
        let left = Arc::clone(&left);
        clients.spawn(async move {
            let one_less = |left: usize| left.checked_sub(1);
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                .is_ok()
            {
                if let Some(refusal) = client.purchase().await? {
                    bail!("an order failed: {refusal}");
                }
            }
            Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(())
}

/// One ticket of each type of an event.
pub fn order_of_each(event: &PublishedEvent) -> Bytes {
    let ticket_types = event.ticket_types.iter();
    let lines: Vec<_> = ticket_types.map(|id| (*id, 1)).collect();
    Bytes::from(orders::order_body(event.id, &lines).to_string())
}

/// Somebody who buys again and again.
pub struct Client {
    connection: Connection,
    host: HeaderValue,
    authorization: HeaderValue,
    order: Bytes,
    purchase: Purchase,
}

/// What is needed of an order to pay for it, or to know it again.
#[derive(serde::Deserialize)]
struct Placed {
    id: Uuid,
}

/// `409 sold-out`.
#[derive(Debug)]
pub struct Refused(pub String);

impl Client {
    /// Somebody with a connection of its own, who sends `order` each time.
    pub async fn new(
        url: &str,
        token: &str,
        order: Bytes,
        purchase: Purchase,
    ) -> anyhow::Result<Self> {
        let authority = authority(url)?;
        Ok(Self {
            connection: connect(&authority).await?,
            host: HeaderValue::from_str(&authority)?,
            authorization: HeaderValue::from_str(&format!("Bearer {token}"))?,
            order,
            purchase,
        })
    }

    async fn buy(mut self, meter: Arc<Meter>) {
        while !meter.has_ended() {
            let began = Instant::now();
            match self.purchase().await {
                Ok(None) => meter.answered(began.elapsed()),
                Ok(Some(refusal)) => meter.failed(refusal),
                Err(error) => {
                    meter.failed(format!("no answer: {error:#}"));
                    return;
                }
            }
        }
    }

    /// Places an order and tells its id.
    pub async fn order(&mut self) -> anyhow::Result<Result<Uuid, Refused>> {
        let (status, order) = self.post("/v1/orders", self.order.clone()).await?;
        if status != StatusCode::CREATED {
            return Ok(Err(Refused(refusal(status, &order))));
        }
        let Placed { id } = serde_json::from_slice(&order)?;
        Ok(Ok(id))
    }

    /// The refusal, if there was one.
    async fn purchase(&mut self) -> anyhow::Result<Option<String>> {
        let id = match self.order().await? {
            Ok(id) => id,
            Err(Refused(refusal)) => return Ok(Some(refusal)),
        };
        if self.purchase == Purchase::Held {
            return Ok(None);
        }
        let path = format!("/v1/orders/{id}/payment");
        let (status, paid) = self.post(&path, Bytes::from_static(CARD)).await?;
        Ok((status != StatusCode::OK).then(|| refusal(status, &paid)))
    }

    async fn post(&mut self, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        self.connection.ready().await?;
        let key = new_id().hyphenated().to_string();
        let request = Request::post(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", key)
            .body(Full::new(body))?;
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

fn refusal(status: StatusCode, body: &[u8]) -> String {
    let problem: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let code = problem["code"].as_str().unwrap_or("without a code");
    format!("{} {code}", status.as_u16())
}
