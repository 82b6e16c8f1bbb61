//! checkout.orders: an order that ended without its buyer's doing becomes a mail.

use platform::kafka::consumer::{Incoming, Outcome};
use schemas::Record as _;
use schemas::checkout::{EndReason as Recorded, OrderCancelled, OrderRefunded};
use uuid::Uuid;

use super::{Handled, deliver, money};
use crate::app::App;
use crate::domain::cause::Cause;
use crate::domain::ended_order::{EndReason, EndedOrder};

pub(super) async fn handle(app: &App, record: &Incoming<'_>) -> Handled {
    let Some(datum) = record.datum else {
        return Ok(Outcome::Done);
    };
    let ended = match datum.name() {
        OrderCancelled::NAME => cancelled(datum.read()?)?,
        OrderRefunded::NAME => refunded(datum.read()?)?,
        _ => None,
    };
    match ended {
        Some(order) => deliver(app, Cause::OrderEnded(order), record.traceparent).await,
        None => Ok(Outcome::Done),
    }
}

/// `None`: the buyer cancelled it himself and has seen it, or it was cancelled before reasons were recorded.
fn cancelled(record: OrderCancelled) -> Result<Option<EndedOrder>, Outcome> {
    if record.reason != Some(Recorded::EventCancelled) {
        return Ok(None);
    }
    Ok(Some(EndedOrder {
        id: record.order_id,
        event_id: record.event_id,
        user_id: record.user_id,
        number: number(record.number)?,
        reason: EndReason::EventCancelled,
        money_back: paid(record.payment_id, &record.total)?,
    }))
}

/// `None`: taken back before reasons were recorded, or for one that this version has no words for.
fn refunded(record: OrderRefunded) -> Result<Option<EndedOrder>, Outcome> {
    let reason = match record.reason {
        Some(Recorded::EventCancelled) => EndReason::EventCancelled,
        Some(Recorded::Asked) => EndReason::Refunded,
        Some(Recorded::Unknown) | None => return Ok(None),
    };
    Ok(Some(EndedOrder {
        id: record.order_id,
        event_id: record.event_id,
        user_id: record.user_id,
        number: number(record.number)?,
        reason,
        money_back: paid(record.payment_id, &record.total)?,
    }))
}

fn number(number: Option<String>) -> Result<String, Outcome> {
    number.ok_or_else(|| Outcome::Dead("it has a reason and no number".to_owned()))
}

fn paid(
    payment_id: Option<Uuid>,
    total: &schemas::Money,
) -> Result<Option<platform::money::Money>, Outcome> {
    payment_id.map(|_| money(total)).transpose()
}
