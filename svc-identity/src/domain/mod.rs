//! The rules: pure, without I/O, clock or wire formats.

pub mod account;
pub mod address_change;
pub mod audit;
pub mod case;
pub mod email;
pub mod key_ring;
pub mod line;
pub mod locale;
pub mod mail_link;
pub mod name;
pub mod password;
pub mod phone;
pub mod profile;
pub mod roles;
pub mod session;
pub mod user;

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

    const fn new(rule: &'static str, allowed: &'static str) -> Self {
        Self { rule, allowed }
    }
}
