//! The topics this service reads. Every handler is idempotent: records come again.

pub mod catalog_events;
pub mod checkout_payments;
pub mod identity_users;

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::CqlError;
use platform::kafka::consumer::{ConsumerSpec, Handler, Incoming, Outcome};
use schemas::Micros;
use schemas::topics::{CATALOG_EVENTS, CHECKOUT_PAYMENTS, IDENTITY_USERS};
use uuid::Uuid;

use crate::app::App;
use crate::delivery::chain;

/// The consumer group.
pub const GROUP: &str = "svc-mailer";

/// What is not personal: a dead letter may bear the payload.
pub fn public_topics() -> ConsumerSpec {
    ConsumerSpec {
        group: GROUP.to_owned(),
        topics: vec![CHECKOUT_PAYMENTS.name, CATALOG_EVENTS.name],
        personal: false,
    }
}

/// What is personal. Another member of the same group.
pub fn personal_topics() -> ConsumerSpec {
    ConsumerSpec {
        group: GROUP.to_owned(),
        topics: vec![IDENTITY_USERS.name],
        personal: true,
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
        } else if record.topic == CATALOG_EVENTS.name {
            catalog_events::handle(&self.app, record).await
        } else {
            identity_users::handle(&self.app, record).await
        };
        handled.unwrap_or_else(|stop| stop)
    }
}

/// What a handler ends with early.
type Handled = Result<Outcome, Outcome>;

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

fn timestamp(micros: Micros) -> Timestamp {
    Timestamp::from_micros(micros)
}
