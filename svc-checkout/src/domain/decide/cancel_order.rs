//! reserved → cancelled: the buyer does not want the tickets after all.

use std::sync::Arc;

use platform::clock::Timestamp;

use super::{Decision, end_reason, end_unpaid, refuse_late, repeat_by_row};
use crate::domain::books::{CommandEffect, Desk};
use crate::domain::command::{Answer, CancelOrder, Refusal};
use crate::domain::fact::Fact;
use crate::domain::order::Status;

pub(super) fn decide(
    desk: &mut Desk<'_>,
    command: &CancelOrder,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if let Some(effect) = desk.effect(command.command_id) {
        return repeat_by_row(effect, command.fingerprint);
    }
    refuse_late(command.not_after, now)?;
    let Some(hold) = desk.hold(command.order_id) else {
        return Err(match desk.ended(command.order_id) {
            Some(ended) if ended.refunded => Refusal::AlreadyRefunded,
            Some(ended) if ended.paid_by.is_some() => Refusal::UseRefund,
            // Its row tells how it ended.
            _ => Refusal::SeeRow,
        });
    };
    if hold.order.user_id != command.user_id {
        return Err(Refusal::SeeRow);
    }
    if hold.paying {
        return Err(Refusal::PaymentInProgress);
    }
    let held = Arc::clone(&hold.order);
    let order = end_unpaid(desk, &held, Status::Cancelled, now);
    desk.remember(
        command.command_id,
        CommandEffect {
            order_id: order.id,
            attempt: 0,
            fingerprint: command.fingerprint,
        },
    );
    Ok(Decision {
        facts: vec![Fact::Cancelled {
            order: Arc::clone(&order),
            reason: Some(end_reason(desk, order.event_id)),
            payment_id: None,
        }],
        answer: Answer::Order(order),
    })
}
