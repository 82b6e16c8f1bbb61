//! checkout.payments: a confirmed payment becomes a mail.

use platform::kafka::consumer::{Incoming, Outcome};
use schemas::Record as _;
use schemas::checkout::PaymentConfirmed;

use super::{Handled, deliver, money};
use crate::app::App;
use crate::domain::cause::Cause;
use crate::domain::order::{PaidOrder, Ticket, UsedVoucher};

pub(super) async fn handle(app: &App, record: &Incoming<'_>) -> Handled {
    let Some(datum) = record
        .datum
        .filter(|datum| datum.name() == PaymentConfirmed::NAME)
    else {
        return Ok(Outcome::Done);
    };
    let order = read(datum.read()?)?;
    deliver(app, Cause::PaymentConfirmed(order), record.traceparent).await
}

fn read(record: PaymentConfirmed) -> Result<PaidOrder, Outcome> {
    let tickets = record.tickets.into_iter().map(|ticket| {
        Ok::<_, Outcome>(Ticket {
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
        voucher: record.voucher.map(used).transpose()?,
        total: money(&record.total)?,
    })
}

fn used(voucher: schemas::checkout::UsedVoucher) -> Result<UsedVoucher, Outcome> {
    Ok(UsedVoucher {
        discount: money(&voucher.discount)?,
        code: voucher.code,
    })
}
