//! checkout.payments: a confirmed payment becomes a mail.

use platform::kafka::consumer::{Incoming, Outcome};
use platform::money::{Currency, CurrencyError, Money};
use schemas::Record as _;
use schemas::checkout::PaymentConfirmed;

use super::{Handled, deliver};
use crate::app::App;
use crate::domain::notification::Cause;
use crate::domain::order::{PaidOrder, Ticket};

pub(super) async fn handle(app: &App, record: &Incoming<'_>) -> Handled {
    let Some(datum) = record
        .datum
        .filter(|datum| datum.name() == PaymentConfirmed::NAME)
    else {
        return Ok(Outcome::Done);
    };
    let order = read(datum.read()?)
        .map_err(|error| Outcome::Dead(format!("the price has no currency: {error}")))?;
    deliver(app, Cause::PaymentConfirmed(order), record.traceparent).await
}

fn read(record: PaymentConfirmed) -> Result<PaidOrder, CurrencyError> {
    let tickets = record.tickets.into_iter().map(|ticket| {
        Ok(Ticket {
            number: ticket.number,
            kind: ticket.kind,
            price: money(&ticket.price)?,
        })
    });
    Ok(PaidOrder {
        id: record.order_id,
        event_id: record.event_id,
        user_id: record.user_id,
        number: record.number,
        tickets: tickets.collect::<Result<_, _>>()?,
        total: money(&record.total)?,
    })
}

fn money(money: &schemas::Money) -> Result<Money, CurrencyError> {
    let currency: Currency = money.currency.parse()?;
    Ok(Money::new(money.amount, currency))
}
