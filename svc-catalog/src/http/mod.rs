//! The REST surface: one file for each noun, its wire types and its handlers.

pub mod access;
pub mod availability;
pub mod event;
mod kept;
mod moment;
pub mod own_event;
pub mod published_event;
pub mod ticket_type;
pub mod voucher;

use platform::http::{Code, Problem};

use crate::domain::event::NotChanged;
use crate::domain::rule::Violations;

/// Why an event or a ticket type stays as it is.
fn not_changed(reason: NotChanged) -> Problem {
    match reason {
        NotChanged::Invalid(violations) => invalid(&violations),
        NotChanged::Closed => Problem::new(Code::SaleClosed)
            .detail("a cancelled or archived event does not change any more"),
        NotChanged::NoTicketType => Problem::new(Code::NotFound),
        NotChanged::LastTicketType => Problem::new(Code::NotPublishable)
            .detail("a published event keeps a ticket type: add another one first"),
    }
}

/// 422 with every broken rule.
fn invalid(violations: &Violations) -> Problem {
    violations
        .iter()
        .fold(Problem::new(Code::Invalid), |problem, violation| {
            problem.field(violation.field, violation.code, violation.detail.clone())
        })
}
