//! The REST surface: one file for each noun, its wire types and its handlers.

pub mod access;
pub mod availability;
pub mod event;
pub mod published_event;
pub mod ticket_type;

use platform::http::{Code, Problem};

use crate::domain::rule::Violations;

/// 422 with every broken rule.
fn invalid(violations: &Violations) -> Problem {
    violations
        .iter()
        .fold(Problem::new(Code::Invalid), |problem, violation| {
            problem.field(violation.field, violation.code, violation.detail.clone())
        })
}
