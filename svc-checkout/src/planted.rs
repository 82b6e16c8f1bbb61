//! Bugs on purpose: what the audit must catch, or it would prove nothing.
//!
//! They exist with the feature `planted-bugs` only, which refuses to be built for release; then PLANTED_BUG chooses one.
//! Without the feature [`planted`] is false when the code is compiled, and nothing of them is left.

#[cfg(all(feature = "planted-bugs", not(debug_assertions)))]
compile_error!("planted-bugs is for the audit's own test and never for a release build");

/// One mistake that would cost seats, money or trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A batch is written to the tables and answered, and committed afterwards.
    AnswerBeforeCommit,
    /// A hold that was paid still ends.
    ExpiryFreesSold,
    /// A repeated command is decided anew.
    NoDedupe,
    /// The projection says that rows are written before they are.
    OffsetBeforeEffect,
    /// Ended holds are committed by themselves and without offsets, so that nobody checks whether their engine still owns
    /// the partition; and a dead owner is not fenced.
    NoOffsetsInExpiry,
    /// A refund is recorded twice.
    RefundTwice,
    /// One seat more is sold than there are.
    OneSeatTooMany,
    /// One order more has a voucher than can.
    OneUseTooMany,
    /// A refund gives its ticket numbers back.
    NumberReused,
    /// A declined card buys tickets.
    DeclinedIsPaid,
    /// Holds end two seconds early.
    EarlyExpiry,
    /// Nobody remembers which tickets were given back: such a seat goes back once more with the next release, or a refund.
    ReleasedTwice,
}

impl Bug {
    /// Every bug, by the name that PLANTED_BUG has for it.
    pub const ALL: [(&'static str, Self); 12] = [
        ("answer-before-commit", Self::AnswerBeforeCommit),
        ("expiry-frees-sold", Self::ExpiryFreesSold),
        ("no-dedupe", Self::NoDedupe),
        ("offset-before-effect", Self::OffsetBeforeEffect),
        ("no-offsets-in-expiry", Self::NoOffsetsInExpiry),
        ("refund-twice", Self::RefundTwice),
        ("one-seat-too-many", Self::OneSeatTooMany),
        ("one-use-too-many", Self::OneUseTooMany),
        ("number-reused", Self::NumberReused),
        ("declined-is-paid", Self::DeclinedIsPaid),
        ("early-expiry", Self::EarlyExpiry),
        ("released-twice", Self::ReleasedTwice),
    ];
}

/// Whether this bug is planted.
#[cfg(not(feature = "planted-bugs"))]
pub const fn planted(_: Bug) -> bool {
    false
}

/// Whether this bug is planted.
#[cfg(feature = "planted-bugs")]
pub fn planted(bug: Bug) -> bool {
    use std::sync::LazyLock;

    static CHOSEN: LazyLock<Option<Bug>> = LazyLock::new(|| {
        let name = std::env::var("PLANTED_BUG").ok()?;
        let found = Bug::ALL.into_iter().find(|(known, _)| *known == name);
        let (_, bug) =
            found.unwrap_or_else(|| panic!("PLANTED_BUG={name} is no bug of planted.rs"));
        tracing::error!(name, "a bug is planted");
        Some(bug)
    });
    *CHOSEN == Some(bug)
}
