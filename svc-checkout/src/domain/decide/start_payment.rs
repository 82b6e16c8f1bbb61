//! reserved → paying: fixes the order while a provider is asked for the money.

use std::sync::Arc;

use platform::clock::Timestamp;

use super::{Decision, refuse_late};
use crate::domain::books::{CommandEffect, Desk};
use crate::domain::command::{Answer, Refusal, StartPayment};
use crate::domain::order::{Hold, MAX_PAYMENT_ATTEMPTS, PAYMENT_WINDOW, payment_id};

pub(super) fn decide(
    desk: &mut Desk<'_>,
    command: &StartPayment,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if let Some(effect) = desk.effect(command.command_id) {
        return repeat(desk, command, *effect);
    }
    refuse_late(command.not_after, now)?;
    let Some(hold) = desk.hold(command.order_id) else {
        return Err(match desk.ended(command.order_id) {
            Some(ended) if ended.refunded => Refusal::AlreadyRefunded,
            Some(ended) if ended.paid_by.is_some() => Refusal::AlreadyPaid,
            // Expired before or cancelled with its event: its row tells.
            Some(ended) if desk.is_cancelled(ended.event_id) => Refusal::SeeRow,
            Some(_) => Refusal::HoldExpired,
            None => Refusal::SeeRow,
        });
    };
    if hold.order.user_id != command.user_id {
        return Err(Refusal::SeeRow);
    }
    if hold.paying {
        return Err(Refusal::PaymentInProgress);
    }
    // Its turn to be cancelled has not come yet; money that it took now would only go back.
    if desk.is_cancelled(hold.order.event_id) {
        return Err(Refusal::OrderCancelled);
    }
    if hold.expires_at <= now {
        return Err(Refusal::HoldExpired);
    }
    if hold.attempts >= MAX_PAYMENT_ATTEMPTS {
        return Err(Refusal::TooManyAttempts);
    }
    let hold = Hold {
        attempts: hold.attempts + 1,
        paying: true,
        // Fixed at the first start: else a buyer who pays again and again holds the seats for ever.
        payment_deadline: hold
            .payment_deadline
            .or(Some(hold.expires_at + PAYMENT_WINDOW)),
        ..hold.clone()
    };
    let answer = Answer::PaymentStarted {
        order: Arc::clone(&hold.order),
        payment_id: hold.order.payment_id_of_attempt(hold.attempts),
    };
    desk.remember(
        command.command_id,
        CommandEffect {
            order_id: command.order_id,
            attempt: hold.attempts,
            fingerprint: command.fingerprint,
        },
    );
    desk.put_hold(hold);
    Ok(Decision::nothing(answer))
}

/// A repeat joins its own attempt, or is told how that one ended.
fn repeat(
    desk: &Desk<'_>,
    command: &StartPayment,
    effect: CommandEffect,
) -> Result<Decision, Refusal> {
    if effect.fingerprint != command.fingerprint {
        return Err(Refusal::KeyReused);
    }
    let payment_id = payment_id(effect.order_id, effect.attempt);
    let answer = match desk.hold(effect.order_id) {
        Some(hold) if hold.open_payment() == Some(payment_id) => Answer::PaymentStarted {
            order: Arc::clone(&hold.order),
            payment_id,
        },
        Some(_) => Answer::PaymentDeclined { payment_id },
        None => Answer::SeeRow {
            order_id: effect.order_id,
            payment_id: Some(payment_id),
        },
    };
    Ok(Decision::nothing(answer))
}
