//! paid → refunded: the tickets are dead, their stock is free, the money is owed.
//!
//! A paid order has left the books, so the command brings its row. What the books still know outranks the row: an order
//! that was refunded stays known as long as its event, since its row may be read before it shows the refund.

use std::time::Duration;

use platform::clock::Timestamp;

use super::{Decision, end_reason, refuse_late, repeat_by_row};
use crate::domain::books::{CommandEffect, Desk};
use crate::domain::command::{Answer, OrderRow, RefundOrder, Refusal};
use crate::domain::ended_order::EndedOrder;
use crate::domain::fact::{Fact, RefundOwed, RefundedOrder};
use crate::domain::order::Status;
use crate::planted::{Bug, planted};

pub(super) fn decide(
    desk: &mut Desk<'_>,
    command: &RefundOrder,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if let Some(effect) = desk.effect(command.command_id) {
        return repeat_by_row(effect, command.fingerprint);
    }
    refuse_late(command.not_after, now)?;
    check(desk, command)?;

    let row = &command.row;
    let refunded = RefundedOrder {
        order_id: command.order_id,
        event_id: command.event_id,
        user_id: row.user_id,
        version: row.version + 1,
        lines: row.lines.clone(),
        total: row.total,
        voucher: row.voucher.clone(),
        payment_id: row.payment_id,
        reserved_at: row.reserved_at,
        reason: Some(end_reason(desk, command.event_id)),
        at: now.max(row.updated_at + Duration::from_micros(1)),
    };
    if let Some(book) = desk.event_mut(command.event_id) {
        book.take_back(&row.lines);
        if planted(Bug::NumberReused) {
            book.tickets_issued -= 1;
        }
    }
    let buyer = (command.event_id, row.user_id);
    desk.count_buyer(buyer, &row.lines, row.reserved_at, -1);
    let mut facts = vec![Fact::Refunded(refunded)];
    if let Some(payment_id) = row.payment_id {
        let owed = RefundOwed {
            payment_id,
            order_id: command.order_id,
            event_id: command.event_id,
            amount: row.total,
            due_at: now,
        };
        desk.owe(owed.clone());
        facts.push(Fact::RefundDue(owed));
    }
    let ended = ended(desk, command.order_id, command.event_id, row);
    desk.put_ended(ended);
    desk.remember(
        command.command_id,
        CommandEffect {
            order_id: command.order_id,
            attempt: 0,
            fingerprint: command.fingerprint,
        },
    );
    Ok(Decision {
        facts,
        answer: Answer::SeeRow {
            order_id: command.order_id,
            payment_id: None,
        },
    })
}

/// Refuses what cannot be refunded, and a row that is behind the books.
fn check(desk: &Desk<'_>, command: &RefundOrder) -> Result<(), Refusal> {
    if desk.hold(command.order_id).is_some() {
        return Err(Refusal::NotPaid);
    }
    let row = &command.row;
    if let Some(ended) = desk.ended(command.order_id) {
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

/// What stays known of it.
fn ended(
    desk: &Desk<'_>,
    order_id: uuid::Uuid,
    event_id: uuid::Uuid,
    row: &OrderRow,
) -> EndedOrder {
    let known = desk.ended(order_id).cloned();
    let mut ended = known.unwrap_or_else(|| EndedOrder {
        paid_by: row.payment_id,
        ..EndedOrder::of_row(order_id, event_id, row)
    });
    ended
        .settled
        .extend(row.payment_id.filter(|id| !ended.settled.contains(id)));
    ended.version = row.version + 1;
    ended.refunded = true;
    ended
}
