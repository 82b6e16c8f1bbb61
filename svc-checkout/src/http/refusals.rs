//! What the box office refuses, in the words of the API.

use platform::cql::CqlError;
use platform::http::{Code, Problem};
use uuid::Uuid;

use crate::box_office::client::SubmitError;
use crate::domain::command::Refusal;
use crate::domain::order::Status;

/// A refusal as a problem.
pub fn problem(error: SubmitError) -> Problem {
    match error {
        SubmitError::Refused(refusal) => refused(refusal),
        SubmitError::Overloaded => Problem::new(Code::Overloaded)
            .detail("too many orders are waiting")
            .retry_after(1),
        SubmitError::TimedOut => Problem::new(Code::Unavailable).detail(
            "no answer in time; send the same request with the same Idempotency-Key to learn it",
        ),
        SubmitError::InProgress => Problem::new(Code::RequestInProgress)
            .detail("the first request with this Idempotency-Key has no answer yet; send it again")
            .retry_after(1),
    }
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        // This one had no effect. The same request, sent again meanwhile, may have had one.
        Refusal::TooLate => Problem::new(Code::Unavailable).detail(
            "decided too late; send the same request with the same Idempotency-Key to learn what came of it",
        ),
        Refusal::UnknownEvent => Problem::new(Code::UnknownEvent),
        Refusal::UnknownTicketType(id) => {
            Problem::new(Code::UnknownTicketType).detail(format!("ticket type {id}"))
        }
        Refusal::SaleClosed => Problem::new(Code::SaleClosed),
        Refusal::VoucherInvalid => no_voucher(),
        Refusal::VoucherUsedUp => Problem::new(Code::VoucherUsedUp),
        Refusal::SoldOut {
            ticket_type_id,
            free,
        } => Problem::new(Code::SoldOut)
            .detail(format!("{free} tickets of type {ticket_type_id} are left")),
        Refusal::LimitPerBuyer {
            ticket_type_id,
            limit,
        } => Problem::new(Code::LimitPerBuyer).detail(format!(
            "one buyer may have {limit} tickets of type {ticket_type_id}"
        )),
        Refusal::TotalOutOfRange => {
            Problem::invalid("/lines", "too-large", "the total is out of range")
        }
        Refusal::KeyReused => Problem::new(Code::IdempotencyKeyReused),
        Refusal::PaymentInProgress => Problem::new(Code::PaymentInProgress),
        Refusal::AlreadyPaid => Problem::new(Code::AlreadyPaid),
        Refusal::OrderCancelled => Problem::new(Code::OrderCancelled),
        Refusal::UseRefund => Problem::new(Code::UseRefund),
        Refusal::NotPaid => Problem::new(Code::NotPaid),
        Refusal::AlreadyRefunded => Problem::new(Code::AlreadyRefunded),
        Refusal::HoldExpired => Problem::new(Code::HoldExpired),
        Refusal::BelowSold {
            ticket_type_id,
            taken,
        } => Problem::new(Code::BelowSold).detail(format!(
            "{taken} tickets of type {ticket_type_id} are held and sold"
        )),
        Refusal::InventoryIsNewer => Problem::new(Code::Stale),
        Refusal::TooManyAttempts => Problem::new(Code::TooManyAttempts),
        // Handlers read the row before they get here; what is left is an order that moved twice.
        Refusal::SeeRow => Problem::new(Code::Unavailable).detail("the order is changing"),
    }
}

/// The same for a code that never was, one of another event and one that is over: nobody learns which codes exist.
pub fn no_voucher() -> Problem {
    Problem::new(Code::VoucherInvalid).detail("the event has no such voucher")
}

/// Nothing is left, which needs no decision.
pub fn sold_out(ticket_type_id: Uuid) -> Problem {
    let free = 0;
    refused(Refusal::SoldOut {
        ticket_type_id,
        free,
    })
}

/// Why an order in this status takes no payment; `None` while it does.
pub fn not_payable(status: Status) -> Option<Problem> {
    match status {
        Status::Reserved => None,
        Status::Paid => Some(Problem::new(Code::AlreadyPaid)),
        Status::Expired => Some(Problem::new(Code::HoldExpired)),
        Status::Cancelled => Some(Problem::new(Code::OrderCancelled)),
        Status::Refunded => Some(Problem::new(Code::AlreadyRefunded)),
    }
}

/// The database is away.
pub fn database(error: CqlError) -> Problem {
    Problem::unavailable(error)
}

/// The truth about a payment is not known yet.
pub fn pending() -> Problem {
    Problem::new(Code::PaymentPending)
        .detail("what became of the payment is not known yet; repeat with the same Idempotency-Key")
        .retry_after(5)
}
