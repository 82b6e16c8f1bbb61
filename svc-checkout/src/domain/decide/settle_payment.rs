//! What a charge leads to: tickets, another try, or money back. Captured money always buys
//! tickets or is owed back, whatever has happened to the order meanwhile.

use std::sync::Arc;

use platform::clock::Timestamp;
use uuid::Uuid;

use super::cancel_stranded::cancel_with_event;
use super::{Decision, can_take_again, end_unpaid, paid};
use crate::domain::books::Desk;
use crate::domain::command::{Answer, OrderRow, PaymentOutcome, Refusal, SettlePayment};
use crate::domain::ended_order::EndedOrder;
use crate::domain::fact::{EndReason, Fact, PaymentFailed, RefundOwed};
use crate::domain::order::{Hold, Order, Status};
use crate::planted::{Bug, planted};

pub(super) fn decide(
    desk: &mut Desk<'_>,
    command: &SettlePayment,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if let Some(hold) = desk.hold(command.order_id).cloned() {
        return Ok(match command.outcome {
            _ if planted(Bug::DeclinedIsPaid) => paid_in_time(desk, command, &hold, now),
            PaymentOutcome::Paid => paid_in_time(desk, command, &hold, now),
            PaymentOutcome::Declined => declined(desk, command, &hold, now),
        });
    }
    if let Some(ended) = desk.ended(command.order_id).cloned() {
        return Ok(after_the_end(desk, command, ended, now));
    }
    let row = command.row.as_ref().ok_or(Refusal::SeeRow)?;
    from_row(desk, command, row, now)
}

/// The hold is open: held → sold.
fn paid_in_time(
    desk: &mut Desk<'_>,
    command: &SettlePayment,
    hold: &Hold,
    now: Timestamp,
) -> Decision {
    let payment_id = command.payment_id;
    let ours = hold.order.owns_payment(payment_id, hold.attempts);
    if !ours || command.amount != hold.order.total {
        return refund(desk, command, now);
    }
    if desk.is_cancelled(hold.order.event_id) {
        return paid_for_nothing(desk, command, hold, now);
    }
    if let Some(book) = desk.event_mut(hold.order.event_id) {
        book.sell_held(&hold.order.lines);
    }
    let order = paid(desk, &hold.order, Some(payment_id), now);
    if !planted(Bug::ExpiryFreesSold) {
        desk.close_hold(order.id);
    }
    if let Some(other) = hold.open_payment().filter(|open| *open != payment_id) {
        // Another attempt is still open: a job voids it, and a charge found there is owed back.
        desk.put_ended(EndedOrder {
            paid_by: Some(payment_id),
            settled: vec![payment_id],
            open_payment: Some(other),
            ..EndedOrder::of(&order)
        });
    }
    Decision {
        facts: vec![Fact::Confirmed(Arc::clone(&order))],
        answer: Answer::Order(order),
    }
}

/// The event was cancelled while the buyer paid: the order ends as if nobody had, and the money goes back.
fn paid_for_nothing(
    desk: &mut Desk<'_>,
    command: &SettlePayment,
    hold: &Hold,
    now: Timestamp,
) -> Decision {
    let payment_id = command.payment_id;
    let order = end_unpaid(desk, &hold.order, Status::Cancelled, now);
    // Remembered: the provider may say it again after the refund was made. And another attempt may be open.
    desk.put_ended(EndedOrder {
        settled: vec![payment_id],
        open_payment: hold.open_payment().filter(|open| *open != payment_id),
        ..EndedOrder::of(&order)
    });
    let mut decision = refund(desk, command, now);
    let cancelled = Fact::Cancelled {
        order,
        reason: Some(EndReason::EventCancelled),
        payment_id: Some(payment_id),
    };
    decision.facts.insert(0, cancelled);
    decision
}

/// The open attempt failed: back to reserved, or cancelled with its event. Every other case is an old answer.
fn declined(desk: &mut Desk<'_>, command: &SettlePayment, hold: &Hold, now: Timestamp) -> Decision {
    if hold.open_payment() != Some(command.payment_id) {
        return Decision::nothing(Answer::Nothing);
    }
    let order = Arc::new(Order {
        version: hold.order.version + 1,
        updated_at: hold.order.next_update(now),
        ..(*hold.order).clone()
    });
    let failed = PaymentFailed {
        order_id: order.id,
        event_id: order.event_id,
        user_id: order.user_id,
        version: order.version,
        payment_id: command.payment_id,
        attempt: hold.attempts,
        at: order.updated_at,
    };
    let (order_id, event_id) = (order.id, order.event_id);
    desk.put_hold(Hold {
        order,
        paying: false,
        ..hold.clone()
    });
    let mut facts = vec![Fact::PaymentFailed(failed)];
    if desk.is_cancelled(event_id) {
        facts.extend(cancel_with_event(desk, order_id, now));
    }
    Decision {
        facts,
        answer: Answer::PaymentDeclined {
            payment_id: command.payment_id,
        },
    }
}

/// The order has ended and is remembered.
fn after_the_end(
    desk: &mut Desk<'_>,
    command: &SettlePayment,
    mut ended: EndedOrder,
    now: Timestamp,
) -> Decision {
    if ended.open_payment == Some(command.payment_id) {
        ended.open_payment = None;
    }
    if command.outcome == PaymentOutcome::Declined || ended.settled.contains(&command.payment_id) {
        if ended.paid_by.is_none()
            && ended.settled.is_empty()
            && ended.open_payment.is_none()
            && !ended.refunded
        {
            desk.forget_ended(ended.order_id);
        } else {
            desk.put_ended(ended);
        }
        return Decision::nothing(Answer::Nothing);
    }
    ended.settled.push(command.payment_id);
    if ended.paid_by.is_none()
        && !ended.refunded
        && command.amount == ended.total
        && can_take_again(desk, ended.event_id, &ended.lines)
    {
        return take_again(desk, command.payment_id, ended, now);
    }
    desk.put_ended(ended);
    refund(desk, command, now)
}

/// The order is not remembered: its row tells what it was.
fn from_row(
    desk: &mut Desk<'_>,
    command: &SettlePayment,
    row: &OrderRow,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if command.outcome == PaymentOutcome::Declined {
        return Ok(Decision::nothing(Answer::Nothing));
    }
    let same_payment = row.payment_id == Some(command.payment_id);
    let paid_by = match row.status {
        // The row is behind the books: the sender reads it again.
        Status::Reserved => return Err(Refusal::SeeRow),
        Status::Paid | Status::Refunded if same_payment => {
            return Ok(Decision::nothing(Answer::Nothing));
        }
        Status::Expired => None,
        // Money for a cancelled order goes back always: nobody takes that seat again.
        Status::Cancelled => Some(Uuid::nil()),
        Status::Paid | Status::Refunded => row.payment_id.or(Some(Uuid::nil())),
    };
    let ended = EndedOrder {
        paid_by,
        refunded: row.status == Status::Refunded,
        ..EndedOrder::of_row(command.order_id, command.event_id, row)
    };
    Ok(after_the_end(desk, command, ended, now))
}

/// Paid after the hold had ended, and the stock is still free.
fn take_again(
    desk: &mut Desk<'_>,
    payment_id: Uuid,
    mut ended: EndedOrder,
    now: Timestamp,
) -> Decision {
    if let Some(book) = desk.event_mut(ended.event_id) {
        book.sell_free(&ended.lines);
    }
    // Unchecked: the buyer had these tickets and this voucher before and has paid.
    let buyer = (ended.event_id, ended.user_id);
    desk.count_buyer(buyer, &ended.lines, ended.reserved_at, 1);
    desk.count_voucher(ended.event_id, ended.voucher.as_ref(), 1);
    let expired = Order {
        id: ended.order_id,
        event_id: ended.event_id,
        user_id: ended.user_id,
        version: ended.version,
        status: Status::Expired,
        lines: ended.lines.clone(),
        total: ended.total,
        voucher: ended.voucher.clone(),
        reserved_at: ended.reserved_at,
        expires_at: None,
        updated_at: now,
        tickets: Vec::new(),
        paid_at: None,
        payment_id: None,
        fingerprint: [0; 32],
    };
    let order = paid(desk, &expired, Some(payment_id), now);
    ended.paid_by = Some(payment_id);
    ended.version = order.version;
    desk.put_ended(ended);
    Decision {
        facts: vec![Fact::Confirmed(Arc::clone(&order))],
        answer: Answer::Order(order),
    }
}

/// The money buys nothing.
fn refund(desk: &mut Desk<'_>, command: &SettlePayment, now: Timestamp) -> Decision {
    if desk.refund(command.payment_id).is_some() {
        return Decision::nothing(Answer::Nothing);
    }
    let owed = RefundOwed {
        payment_id: command.payment_id,
        order_id: command.order_id,
        event_id: command.event_id,
        amount: command.amount,
        due_at: now,
    };
    desk.owe(owed.clone());
    Decision {
        facts: vec![Fact::RefundDue(owed)],
        answer: Answer::Nothing,
    }
}
