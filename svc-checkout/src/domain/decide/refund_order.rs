//! paid → refunded: the tickets are dead, their stock is free, the money is owed.
//!
//! A paid order has left the books, so the command brings its row. What the books still know outranks the row: an order
//! that was refunded stays known as long as its event, since its row may be read before it shows the refund.

use platform::clock::Timestamp;

use super::{Decision, end_reason, refuse_late, refuse_unpaid, remembered, repeat_by_row};
use crate::domain::books::{CommandEffect, Desk};
use crate::domain::command::{Answer, RefundOrder, Refusal};
use crate::domain::fact::{Fact, RefundOwed, RefundedOrder};
use crate::domain::order::next_update;
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
    let row = &command.row;
    refuse_unpaid(desk, command.order_id, row)?;

    let mut ended = remembered(desk, command.order_id, command.event_id, row);
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
        at: next_update(row.updated_at, now),
    };
    // The seats of tickets that were given back are free already.
    let left = ended.lines_left();
    if let Some(book) = desk.event_mut(command.event_id) {
        book.take_back(&left, ended.released.len());
        if planted(Bug::NumberReused) {
            book.tickets_issued -= 1;
        }
    }
    let buyer = (command.event_id, row.user_id);
    desk.count_buyer(buyer, &left, row.reserved_at, -1);
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
    ended.refunded = true;
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
