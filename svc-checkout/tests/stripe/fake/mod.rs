//! A small Stripe: keeps intents, refunds and Idempotency-Keys, and can decline, charge without answering, fail, and
//! send webhooks. What it took and gave back is the truth that the tests compare with.

mod ledger;
mod webhooks;

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use e2e::Api;
use e2e::wait::{SOON, eventually};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use url::{Url, form_urlencoded};
use uuid::Uuid;

pub(crate) use ledger::{Form, Ledger, Reply, Then};
pub(crate) use webhooks::{WEBHOOK_SECRET, event, now_seconds, signed};

/// The only key that it accepts.
pub(crate) const KEY: &str = "local-key-of-the-tests";

/// A handle; the server lives as long as the runtime of its test.
pub(crate) struct Fake {
    pub(crate) url: Url,
    shared: Arc<Shared>,
}

struct Shared {
    ledger: Mutex<Ledger>,
    /// Where webhooks go.
    gateway: Option<Api>,
    /// One answer that is held goes on.
    go_on: Notify,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fake {
    pub(crate) async fn start(gateway: Option<Api>) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            ledger: Mutex::default(),
            gateway,
            go_on: Notify::new(),
        });
        let router = Router::new()
            .route("/v1/payment_intents", post(create))
            .route("/v1/payment_intents/{id}", get(show))
            .route("/v1/payment_intents/{id}/{verb}", post(change))
            .route("/v1/refunds", get(refunds).post(refund))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = Url::parse(&format!("http://{}", listener.local_addr()?))?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url, shared })
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.shared.ledger()
    }

    /// Lets the answer to `pm_held` go.
    pub(crate) fn go_on(&self) {
        self.shared.go_on.notify_one();
    }

    /// Waits until that much of an order's money was taken.
    pub(crate) async fn has_taken(&self, order: Uuid, amount: i64) -> anyhow::Result<()> {
        eventually(SOON, "Stripe to take the money", async || {
            Ok((self.ledger().money(order) == (amount, 0)).then_some(()))
        })
        .await
    }
}

fn is_allowed(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    header("authorization") == Some(&format!("Bearer {KEY}")) && header("stripe-version").is_some()
}

fn form_of(body: &[u8]) -> Form {
    form_urlencoded::parse(body).into_owned().collect()
}

async fn create(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    act(shared, headers, "create", String::new(), body).await
}

async fn change(
    State(shared): State<Arc<Shared>>,
    Path((id, verb)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    act(shared, headers, &verb, id, body).await
}

async fn refund(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    act(shared, headers, "refund", String::new(), body).await
}

async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    read(&shared, &headers, "show", |ledger| ledger.show(&id))
}

async fn refunds(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = form_of(query.unwrap_or_default().as_bytes());
    let intent = query.get("payment_intent").cloned().unwrap_or_default();
    read(&shared, &headers, "refunds", |ledger| {
        ledger.list_refunds(&intent)
    })
}

fn read(
    shared: &Shared,
    headers: &HeaderMap,
    what: &str,
    look: impl FnOnce(&Ledger) -> Reply,
) -> Response {
    if !is_allowed(headers) {
        return unauthorized();
    }
    let mut ledger = shared.ledger();
    let reply = match ledger.planned(what) {
        Some(status) => error(status, "api_error", "planned"),
        None => look(&ledger),
    };
    respond(&reply)
}

/// One POST, with its Idempotency-Key as Stripe treats it.
async fn act(
    shared: Arc<Shared>,
    headers: HeaderMap,
    verb: &str,
    id: String,
    body: Bytes,
) -> Response {
    if !is_allowed(&headers) {
        return unauthorized();
    }
    let key = headers.get("idempotency-key");
    let key = key.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let request = format!("{verb} {id} {}", String::from_utf8_lossy(&body));
    let reply = {
        let mut ledger = shared.ledger();
        match (ledger.planned(verb), key) {
            (Some(status), _) => error(status, "api_error", "planned"),
            (None, None) => ledger.act(verb, &id, &form_of(&body)),
            (None, Some(key)) => ledger.once(&key, request, |ledger| {
                ledger.act(verb, &id, &form_of(&body))
            }),
        }
    };
    match &reply.then {
        Then::Answer => {}
        Then::Hang => pending::<()>().await,
        Then::Held => shared.go_on.notified().await,
        Then::WebhookFirst => {
            let sent =
                webhooks::send(&shared, &id, "payment_intent.succeeded", now_seconds()).await;
            // The answer would come all the same; a test that needs the webhook sees that nothing came of it.
            if sent.is_none_or(|status| status != 200) {
                return unauthorized();
            }
        }
    }
    respond(&reply)
}

/// As Stripe writes errors.
pub(crate) fn error(status: u16, kind: &str, code: &str) -> Reply {
    Reply {
        status,
        body: json!({"error": {"type": kind, "code": code, "message": "of the tests"}}),
        then: Then::Answer,
    }
}

fn unauthorized() -> Response {
    respond(&error(401, "invalid_request_error", "api_key"))
}

fn respond(reply: &Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body: &Value = &reply.body;
    (status, axum::Json(body)).into_response()
}
