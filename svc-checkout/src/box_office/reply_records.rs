//! Between answers and the records of checkout.replies, both ways.

use schemas::checkout::{CommandReply, ReplyOutcome as Outcome};
use uuid::Uuid;

use super::records::fingerprint_in;
use super::waiters::Wish;
use crate::domain::command::{Answer, Refusal};

/// What another instance decided. An order is named, not told: its row is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The order is placed, paid or cancelled.
    Order(Uuid),
    /// A payment attempt is open.
    PaymentStarted {
        /// The order.
        order_id: Uuid,
        /// What to charge under.
        payment_id: Uuid,
    },
    /// Complete as it is.
    Decided(Result<Answer, Refusal>),
}

/// Writes an answer.
pub fn reply_out(wish: &Wish, decided: &Result<Answer, Refusal>) -> CommandReply {
    let mut reply = CommandReply {
        command_id: wish.command_id,
        fingerprint: wish.fingerprint.to_vec(),
        outcome: Outcome::Unknown,
        order_id: None,
        payment_id: None,
        ticket_type_id: None,
        number: None,
    };
    reply.outcome = match decided {
        Ok(Answer::Order(order)) => {
            reply.order_id = Some(order.id);
            Outcome::Order
        }
        Ok(Answer::PaymentStarted { order, payment_id }) => {
            reply.order_id = Some(order.id);
            reply.payment_id = Some(*payment_id);
            Outcome::PaymentStarted
        }
        Ok(Answer::PaymentDeclined { payment_id }) => {
            reply.payment_id = Some(*payment_id);
            Outcome::PaymentDeclined
        }
        Ok(Answer::SeeRow {
            order_id,
            payment_id,
        }) => {
            reply.order_id = Some(*order_id);
            reply.payment_id = *payment_id;
            Outcome::SeeRow
        }
        Ok(Answer::Nothing) => Outcome::Nothing,
        Err(refusal) => refusal_out(refusal, &mut reply),
    };
    reply
}

fn refusal_out(refusal: &Refusal, reply: &mut CommandReply) -> Outcome {
    match *refusal {
        Refusal::TooLate => Outcome::TooLate,
        Refusal::UnknownEvent => Outcome::UnknownEvent,
        Refusal::UnknownTicketType(id) => {
            reply.ticket_type_id = Some(id);
            Outcome::UnknownTicketType
        }
        Refusal::SaleClosed => Outcome::SaleClosed,
        Refusal::VoucherInvalid => Outcome::VoucherInvalid,
        Refusal::VoucherUsedUp => Outcome::VoucherUsedUp,
        Refusal::SoldOut {
            ticket_type_id,
            free,
        } => {
            reply.ticket_type_id = Some(ticket_type_id);
            reply.number = Some(free);
            Outcome::SoldOut
        }
        Refusal::LimitPerBuyer {
            ticket_type_id,
            limit,
        } => {
            reply.ticket_type_id = Some(ticket_type_id);
            reply.number = Some(limit);
            Outcome::LimitPerBuyer
        }
        Refusal::TotalOutOfRange => Outcome::TotalOutOfRange,
        Refusal::KeyReused => Outcome::KeyReused,
        Refusal::PaymentInProgress => Outcome::PaymentInProgress,
        Refusal::AlreadyPaid => Outcome::AlreadyPaid,
        Refusal::HoldExpired => Outcome::HoldExpired,
        Refusal::OrderCancelled => Outcome::OrderCancelled,
        Refusal::UseRefund => Outcome::UseRefund,
        Refusal::NotPaid => Outcome::NotPaid,
        Refusal::AlreadyRefunded => Outcome::AlreadyRefunded,
        Refusal::TooManyAttempts => Outcome::TooManyAttempts,
        Refusal::SeeRow => Outcome::RowIsBehind,
        Refusal::BelowSold {
            ticket_type_id,
            taken,
        } => {
            reply.ticket_type_id = Some(ticket_type_id);
            reply.number = Some(taken);
            Outcome::BelowSold
        }
        Refusal::InventoryIsNewer => Outcome::InventoryIsNewer,
    }
}

/// Reads an answer. `None`: of a newer version, or incomplete; the waiter times out and reads the order by its id.
pub fn reply_in(reply: &CommandReply) -> Option<(Wish, Heard)> {
    let wish = Wish {
        command_id: reply.command_id,
        fingerprint: fingerprint_in(&reply.fingerprint).ok()?,
    };
    Some((wish, heard_in(reply)?))
}

fn heard_in(reply: &CommandReply) -> Option<Heard> {
    let decided = match reply.outcome {
        Outcome::Unknown => return None,
        Outcome::Order => return reply.order_id.map(Heard::Order),
        Outcome::PaymentStarted => {
            return Some(Heard::PaymentStarted {
                order_id: reply.order_id?,
                payment_id: reply.payment_id?,
            });
        }
        Outcome::PaymentDeclined => Ok(Answer::PaymentDeclined {
            payment_id: reply.payment_id?,
        }),
        Outcome::SeeRow => Ok(Answer::SeeRow {
            order_id: reply.order_id?,
            payment_id: reply.payment_id,
        }),
        Outcome::Nothing => Ok(Answer::Nothing),
        Outcome::TooLate => Err(Refusal::TooLate),
        Outcome::UnknownEvent => Err(Refusal::UnknownEvent),
        Outcome::UnknownTicketType => Err(Refusal::UnknownTicketType(reply.ticket_type_id?)),
        Outcome::SaleClosed => Err(Refusal::SaleClosed),
        Outcome::VoucherInvalid => Err(Refusal::VoucherInvalid),
        Outcome::VoucherUsedUp => Err(Refusal::VoucherUsedUp),
        Outcome::SoldOut => Err(Refusal::SoldOut {
            ticket_type_id: reply.ticket_type_id?,
            free: reply.number?,
        }),
        Outcome::LimitPerBuyer => Err(Refusal::LimitPerBuyer {
            ticket_type_id: reply.ticket_type_id?,
            limit: reply.number?,
        }),
        Outcome::TotalOutOfRange => Err(Refusal::TotalOutOfRange),
        Outcome::KeyReused => Err(Refusal::KeyReused),
        Outcome::PaymentInProgress => Err(Refusal::PaymentInProgress),
        Outcome::AlreadyPaid => Err(Refusal::AlreadyPaid),
        Outcome::HoldExpired => Err(Refusal::HoldExpired),
        Outcome::OrderCancelled => Err(Refusal::OrderCancelled),
        Outcome::UseRefund => Err(Refusal::UseRefund),
        Outcome::NotPaid => Err(Refusal::NotPaid),
        Outcome::AlreadyRefunded => Err(Refusal::AlreadyRefunded),
        Outcome::TooManyAttempts => Err(Refusal::TooManyAttempts),
        Outcome::RowIsBehind => Err(Refusal::SeeRow),
        Outcome::BelowSold => Err(Refusal::BelowSold {
            ticket_type_id: reply.ticket_type_id?,
            taken: reply.number?,
        }),
        Outcome::InventoryIsNewer => Err(Refusal::InventoryIsNewer),
    };
    Some(Heard::Decided(decided))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: Wish = Wish {
        command_id: Uuid::from_u128(9),
        fingerprint: [3; 32],
    };

    #[test]
    fn every_refusal_arrives_as_it_was_sent() {
        let id = Uuid::from_u128(7);
        for refusal in [
            Refusal::TooLate,
            Refusal::UnknownEvent,
            Refusal::UnknownTicketType(id),
            Refusal::SaleClosed,
            Refusal::VoucherInvalid,
            Refusal::VoucherUsedUp,
            Refusal::SoldOut {
                ticket_type_id: id,
                free: 3,
            },
            Refusal::LimitPerBuyer {
                ticket_type_id: id,
                limit: 4,
            },
            Refusal::TotalOutOfRange,
            Refusal::KeyReused,
            Refusal::PaymentInProgress,
            Refusal::AlreadyPaid,
            Refusal::HoldExpired,
            Refusal::OrderCancelled,
            Refusal::UseRefund,
            Refusal::NotPaid,
            Refusal::AlreadyRefunded,
            Refusal::TooManyAttempts,
            Refusal::SeeRow,
            Refusal::BelowSold {
                ticket_type_id: id,
                taken: 5,
            },
            Refusal::InventoryIsNewer,
        ] {
            let heard = reply_in(&reply_out(&WISH, &Err(refusal)));
            assert_eq!(heard, Some((WISH, Heard::Decided(Err(refusal)))));
        }
    }

    #[test]
    fn answers_arrive_and_an_unknown_one_does_not() {
        let id = Uuid::from_u128(7);
        for answer in [
            Answer::Nothing,
            Answer::PaymentDeclined { payment_id: id },
            Answer::SeeRow {
                order_id: id,
                payment_id: None,
            },
            Answer::SeeRow {
                order_id: id,
                payment_id: Some(id),
            },
        ] {
            let heard = reply_in(&reply_out(&WISH, &Ok(answer.clone())));
            assert_eq!(heard, Some((WISH, Heard::Decided(Ok(answer)))));
        }
        let newer = CommandReply {
            outcome: Outcome::Unknown,
            ..reply_out(&WISH, &Ok(Answer::Nothing))
        };
        assert_eq!(reply_in(&newer), None);
    }
}
