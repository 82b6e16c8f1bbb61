//! One file per thing that can be asked; each looks first and changes last, so that a refusal
//! has changed nothing.

mod apply_inventory;
mod cancel_order;
mod cancel_stranded;
mod expire_hold;
mod lower_quantities;
mod place_order;
mod refund_order;
mod release_ticket;
mod settle_payment;
mod settle_refund;
mod start_payment;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use platform::clock::Timestamp;
use uuid::Uuid;

use super::books::{CommandEffect, Desk};
use super::command::{Answer, Command, OrderRow, Refusal};
use super::ended_order::EndedOrder;
use super::fact::{EndReason, Fact};
use super::order::{Fingerprint, Line, Order, Status, Ticket, ticket_id};

pub use apply_inventory::apply_inventory;
pub use cancel_stranded::cancel_stranded;
pub use expire_hold::expire_hold;

/// What a command leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Records for the ledger, in order.
    pub facts: Vec<Fact>,
    /// What the sender is told.
    pub answer: Answer,
}

impl Decision {
    fn nothing(answer: Answer) -> Self {
        Self {
            facts: Vec::new(),
            answer,
        }
    }
}

/// Decides one command at the time `now`.
pub fn decide(desk: &mut Desk<'_>, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
    match command {
        Command::PlaceOrder(command) => place_order::decide(desk, command, now),
        Command::StartPayment(command) => start_payment::decide(desk, command, now),
        Command::CancelOrder(command) => cancel_order::decide(desk, command, now),
        Command::RefundOrder(command) => refund_order::decide(desk, command, now),
        Command::ReleaseTicket(command) => release_ticket::decide(desk, command, now),
        Command::SettlePayment(command) => settle_payment::decide(desk, command, now),
        Command::SettleRefund(command) => Ok(settle_refund::decide(desk, command, now)),
        Command::LowerQuantities(command) => lower_quantities::decide(desk, command, now),
    }
}

/// Refuses a command whose client has gone: it came out of a backlog.
fn refuse_late(not_after: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    if now > not_after {
        Err(Refusal::TooLate)
    } else {
        Ok(())
    }
}

/// A repeat of what ended the order: its row tells how it is now.
fn repeat_by_row(effect: &CommandEffect, fingerprint: Fingerprint) -> Result<Decision, Refusal> {
    if effect.fingerprint != fingerprint {
        return Err(Refusal::KeyReused);
    }
    Ok(Decision::nothing(Answer::SeeRow {
        order_id: effect.order_id,
        payment_id: None,
    }))
}

/// Refuses what is not paid, and a row that is behind the books: a paid order has left them, so commands about it bring
/// its row, and what the books still know outranks that.
fn refuse_unpaid(desk: &Desk<'_>, order_id: Uuid, row: &OrderRow) -> Result<(), Refusal> {
    if desk.hold(order_id).is_some() {
        return Err(Refusal::NotPaid);
    }
    if let Some(ended) = desk.ended(order_id) {
        if ended.refunded {
            return Err(Refusal::AlreadyRefunded);
        }
        if ended.version > row.version {
            return Err(Refusal::SeeRow);
        }
    }
    match row.status {
        Status::Paid => Ok(()),
        Status::Reserved => Err(Refusal::SeeRow),
        Status::Expired | Status::Cancelled => Err(Refusal::NotPaid),
        Status::Refunded => Err(Refusal::AlreadyRefunded),
    }
}

/// What stays known of a paid order when it gets its next version.
fn remembered(desk: &Desk<'_>, order_id: Uuid, event_id: Uuid, row: &OrderRow) -> EndedOrder {
    let known = desk.ended(order_id).cloned();
    let mut ended = known.unwrap_or_else(|| EndedOrder {
        // It is paid, also where that took no payment: nobody pays it again.
        paid_by: row.payment_id.or(Some(Uuid::nil())),
        ..EndedOrder::of_row(order_id, event_id, row)
    });
    ended
        .settled
        .extend(row.payment_id.filter(|id| !ended.settled.contains(id)));
    ended.version = row.version + 1;
    ended
}

/// Why an order ends that somebody asked to end: where the event was cancelled, it would have ended anyway.
fn end_reason(desk: &Desk<'_>, event_id: Uuid) -> EndReason {
    if desk.is_cancelled(event_id) {
        EndReason::EventCancelled
    } else {
        EndReason::Asked
    }
}

/// Ends an unpaid order: its tickets are free, its buyer has them no more, its voucher
/// can be used again, and its hold is closed.
fn end_unpaid(desk: &mut Desk<'_>, order: &Order, status: Status, now: Timestamp) -> Arc<Order> {
    if let Some(book) = desk.event_mut(order.event_id) {
        book.release(&order.lines);
    }
    let buyer = (order.event_id, order.user_id);
    desk.count_buyer(buyer, &order.lines, order.reserved_at, -1);
    desk.count_voucher(order.event_id, order.voucher.as_ref(), -1);
    desk.close_hold(order.id);
    Arc::new(Order {
        version: order.version + 1,
        status,
        expires_at: None,
        updated_at: order.next_update(now),
        ..order.clone()
    })
}

/// Gives the order its tickets, with the next numbers of the event.
fn paid(
    desk: &mut Desk<'_>,
    order: &Order,
    payment_id: Option<Uuid>,
    now: Timestamp,
) -> Arc<Order> {
    let mut tickets = Vec::new();
    let mut place = 0;
    if let Some(book) = desk.event_mut(order.event_id) {
        for line in &order.lines {
            let kind = book.ticket_type(line.ticket_type_id).map_or_else(
                || Arc::from(""),
                |ticket_type| Arc::clone(&ticket_type.kind),
            );
            for _ in 0..line.quantity {
                book.tickets_issued += 1;
                place += 1;
                tickets.push(Ticket {
                    id: ticket_id(order.id, place),
                    number: book.tickets_issued,
                    ticket_type_id: line.ticket_type_id,
                    kind: Arc::clone(&kind),
                    price: line.unit_price,
                    released: false,
                });
            }
        }
    }
    let at = order.next_update(now);
    Arc::new(Order {
        version: order.version + 1,
        status: Status::Paid,
        expires_at: None,
        updated_at: at,
        paid_at: Some(at),
        tickets,
        payment_id,
        ..order.clone()
    })
}

/// Whether the event sells and every line is free.
fn can_take_again(desk: &Desk<'_>, event_id: Uuid, lines: &[Line]) -> bool {
    desk.event(event_id).is_some_and(|book| {
        book.status == super::event_book::SaleStatus::Published && book.has_free(lines)
    })
}
