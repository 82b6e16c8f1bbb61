//! What people are called and how they are reached, as they write it themselves.

pub mod email;
pub mod line;
pub mod name;
pub mod phone;

/// A value that a rule does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{allowed}")]
pub struct NotAllowed {
    /// The rule, for programs: `length`, `form`, `unknown`, …
    pub rule: &'static str,
    /// What would be allowed, for people.
    pub allowed: &'static str,
}

impl NotAllowed {
    /// There is none where one is needed.
    pub const REQUIRED: Self = Self::new("required", "a value");

    /// A rule with what it would allow.
    pub const fn new(rule: &'static str, allowed: &'static str) -> Self {
        Self { rule, allowed }
    }
}
