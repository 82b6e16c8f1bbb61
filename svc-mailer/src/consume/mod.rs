//! The topics this service reads. Every handler is idempotent: records come again.

pub mod catalog_events;
pub mod checkout_guests;
pub mod checkout_orders;
pub mod checkout_payments;
pub mod identity_mail;
pub mod identity_notices;
pub mod identity_users;

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::CqlError;
use platform::kafka::consumer::{ConsumerSpec, Handler, Incoming, OUT_AT_MOST, Outcome};
use platform::money::{Currency, CurrencyError, Money};
use schemas::Micros;
use schemas::topics::{
    CATALOG_EVENTS, CHECKOUT_GUESTS, CHECKOUT_ORDERS, CHECKOUT_PAYMENTS, IDENTITY_MAIL,
    IDENTITY_NOTICES, IDENTITY_USERS,
};
use uuid::Uuid;

use crate::app::App;
use crate::delivery::{Progress, chain};
use crate::domain::cause::Cause;
use crate::store::due::Due;

/// The consumer group.
pub const GROUP: &str = "svc-mailer";

/// What is not personal: a dead letter may bear the payload. All payments of an event are in one partition, so
/// `at_once` of them are in hand at a time: their key is the order.
pub fn public_topics(at_once: usize) -> ConsumerSpec {
    ConsumerSpec {
        group: GROUP.to_owned(),
        topics: vec![
            CHECKOUT_PAYMENTS.name,
            CHECKOUT_ORDERS.name,
            CATALOG_EVENTS.name,
            IDENTITY_NOTICES.name,
        ],
        personal: false,
        at_once,
        out_at_most: OUT_AT_MOST,
    }
}

/// What is personal or bears secrets. Another member of the same group.
pub fn personal_topics() -> ConsumerSpec {
    ConsumerSpec {
        group: GROUP.to_owned(),
        topics: vec![
            IDENTITY_USERS.name,
            IDENTITY_MAIL.name,
            CHECKOUT_GUESTS.name,
        ],
        personal: true,
        at_once: 1,
        out_at_most: OUT_AT_MOST,
    }
}

/// Hands every record to the handler of its topic.
pub struct Records {
    app: Arc<App>,
}

impl Records {
    /// A handler that works with `app`.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

impl Handler for Records {
    async fn handle(&self, record: &Incoming<'_>) -> Outcome {
        let handled = if record.topic == CHECKOUT_PAYMENTS.name {
            checkout_payments::handle(&self.app, record).await
        } else if record.topic == CHECKOUT_ORDERS.name {
            checkout_orders::handle(&self.app, record).await
        } else if record.topic == CATALOG_EVENTS.name {
            catalog_events::handle(&self.app, record).await
        } else if record.topic == IDENTITY_NOTICES.name {
            identity_notices::handle(&self.app, record).await
        } else if record.topic == CHECKOUT_GUESTS.name {
            checkout_guests::handle(&self.app, record).await
        } else if record.topic == IDENTITY_MAIL.name {
            identity_mail::handle(&self.app, record).await
        } else {
            identity_users::handle(&self.app, record).await
        };
        handled.unwrap_or_else(|stop| stop)
    }
}

/// What a handler ends with early.
type Handled = Result<Outcome, Outcome>;

/// Brings the message about `cause` as far as it gets now.
async fn deliver(app: &App, cause: Cause, traceparent: Option<&str>) -> Handled {
    let id = cause.notification_id();
    let progress = app.delivery.deliver(cause, traceparent).await;
    match progress.map_err(|error| retry(&error))? {
        Progress::Settled => Ok(Outcome::Done),
        // One mail that has to wait, for its recipient's record or for a full mailbox, does not hold up the others of
        // its partition.
        Progress::Later(at) => {
            let put = app.due.put(Due { at, id }).await;
            put.map_err(|error| retry(&error))?;
            Ok(Outcome::Done)
        }
        // The topic is the queue until the server is back.
        Progress::ServerAway(reason) => Err(Outcome::Retry(reason)),
    }
}

fn retry(error: &(dyn std::error::Error + 'static)) -> Outcome {
    Outcome::Retry(chain(error))
}

fn stored(result: Result<(), CqlError>) -> Handled {
    result
        .map(|()| Outcome::Done)
        .map_err(|error| retry(&error))
}

/// The key of a table's record.
fn id_of(record: &Incoming<'_>) -> Result<Uuid, Outcome> {
    record
        .key
        .parse()
        .map_err(|_| Outcome::Dead("the key is not a UUID".to_owned()))
}

fn money(money: &schemas::Money) -> Result<Money, Outcome> {
    let currency: Currency = money.currency.parse().map_err(|error: CurrencyError| {
        Outcome::Dead(format!("the price has no currency: {error}"))
    })?;
    Ok(Money::new(money.amount, currency))
}

fn timestamp(micros: Micros) -> Timestamp {
    Timestamp::from_micros(micros)
}
