//! One file per thing that can be asked; each looks first and changes last, so that a refusal
//! has changed nothing.

mod apply_inventory;
mod cancel_order;
mod cancel_stranded;
mod expire_hold;
mod lower_quantities;
mod place_order;
mod refund_order;
mod settle_payment;
mod settle_refund;
mod start_payment;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use platform::clock::Timestamp;
use uuid::Uuid;

use super::books::{CommandEffect, Desk};
use super::command::{Answer, Command, Refusal};
use super::fact::{EndReason, Fact};
use super::order::{Fingerprint, Line, Order, Status, Ticket};

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
    if let Some(book) = desk.event_mut(order.event_id) {
        for line in &order.lines {
            let kind = book.ticket_type(line.ticket_type_id).map_or_else(
                || Arc::from(""),
                |ticket_type| Arc::clone(&ticket_type.kind),
            );
            for _ in 0..line.quantity {
                book.tickets_issued += 1;
                let position = tickets.len() + 1;
                tickets.push(Ticket {
                    id: platform::ids::derived_id(order.id, &["ticket", &position.to_string()]),
                    number: book.tickets_issued,
                    ticket_type_id: line.ticket_type_id,
                    kind: Arc::clone(&kind),
                    price: line.unit_price,
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
