//! What was found, by promise.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use uuid::Uuid;

/// Violations of one promise that are shown; the rest is counted.
const SHOWN: usize = 10;

/// What the system promises and this audit checks. docs/PROOF.md says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Promise {
    EverythingReadable,
    NeverOversold,
    StockAddsUp,
    VouchersKept,
    LegalMoves,
    HoldsKept,
    TicketsMatchOrders,
    NumbersGapless,
    MoneyConserved,
    TablesAreTheLedger,
    NothingAnsweredIsLost,
    OneEffectPerKey,
    RefusedWithoutEffect,
}

impl Promise {
    pub(super) const ALL: [Self; 13] = [
        Self::EverythingReadable,
        Self::NeverOversold,
        Self::StockAddsUp,
        Self::VouchersKept,
        Self::LegalMoves,
        Self::HoldsKept,
        Self::TicketsMatchOrders,
        Self::NumbersGapless,
        Self::MoneyConserved,
        Self::TablesAreTheLedger,
        Self::NothingAnsweredIsLost,
        Self::OneEffectPerKey,
        Self::RefusedWithoutEffect,
    ];

    /// Whether it is about what clients were answered, which only their history tells.
    pub(super) fn needs_history(self) -> bool {
        matches!(
            self,
            Self::NothingAnsweredIsLost | Self::OneEffectPerKey | Self::RefusedWithoutEffect
        )
    }

    fn text(self) -> &'static str {
        match self {
            Self::EverythingReadable => "every record can be read",
            Self::NeverOversold => "no ticket type is oversold at any time",
            Self::StockAddsUp => "quantity = held + sold + free, as the ledger counts it",
            Self::VouchersKept => "no voucher is used more often or takes off more than it says",
            Self::LegalMoves => "orders make legal moves only, once each",
            Self::HoldsKept => "no hold ends early, or never",
            Self::TicketsMatchOrders => "a paid seat is exactly one ticket",
            Self::NumbersGapless => "ticket numbers of an event have no gap and no double",
            Self::MoneyConserved => "captured money bought tickets or goes back, once",
            Self::TablesAreTheLedger => "the tables say what the ledger says",
            Self::NothingAnsweredIsLost => "nothing that was answered is lost",
            Self::OneEffectPerKey => "a repeated request has one effect",
            Self::RefusedWithoutEffect => "a refused request has none",
        }
    }
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) promise: Promise,
    /// The order, event or payment that it is about.
    pub(super) about: Uuid,
    pub(super) text: String,
}

/// Violations, as the checks find them.
#[derive(Debug, Default)]
pub(super) struct Found(pub(super) Vec<Violation>);

impl Found {
    pub(super) fn add(&mut self, promise: Promise, about: Uuid, text: impl Into<String>) {
        self.0.push(Violation {
            promise,
            about,
            text: text.into(),
        });
    }

    /// Those that were found before, too. What is read of a system that goes on selling is never of one moment, so a
    /// record may be there before its cause; what is really broken stays broken.
    pub(super) fn still(mut self, before: &Self) -> Self {
        let known: BTreeSet<_> = before.0.iter().map(|v| (v.promise, v.about)).collect();
        self.0.retain(|v| known.contains(&(v.promise, v.about)));
        self
    }

    #[cfg(test)]
    pub(super) fn promises(&self) -> BTreeSet<Promise> {
        self.0.iter().map(|violation| violation.promise).collect()
    }
}

/// What the audit found.
#[derive(Debug, Default)]
pub struct Report {
    broken: BTreeMap<Promise, Vec<String>>,
    /// Sums and counts, to be shown.
    pub(super) facts: Vec<String>,
    has_history: bool,
}

impl Report {
    /// Nothing found yet. Without a history what only clients know stays open.
    pub(super) fn new(has_history: bool) -> Self {
        Self {
            has_history,
            ..Self::default()
        }
    }

    /// Notes violations that are certain.
    pub(super) fn broken(&mut self, found: Found) {
        for Violation { promise, text, .. } in found.0 {
            self.broken.entry(promise).or_default().push(text);
        }
    }

    /// Whether every promise holds.
    pub fn holds(&self) -> bool {
        self.broken.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fact in &self.facts {
            writeln!(f, "{fact}")?;
        }
        for promise in Promise::ALL {
            let text = promise.text();
            match self.broken.get(&promise) {
                Some(found) => {
                    writeln!(f, "BROKEN  {text}: {} times", found.len())?;
                    for what in found.iter().take(SHOWN) {
                        writeln!(f, "        {what}")?;
                    }
                    if found.len() > SHOWN {
                        writeln!(f, "        … and {} more", found.len() - SHOWN)?;
                    }
                }
                None if promise.needs_history() && !self.has_history => {
                    writeln!(f, "-       {text}: needs --history")?;
                }
                None => writeln!(f, "holds   {text}")?,
            }
        }
        if self.holds() {
            write!(f, "verdict: all of it holds")
        } else {
            write!(
                f,
                "verdict: BROKEN, {} of {} promises",
                self.broken.len(),
                Promise::ALL.len()
            )
        }
    }
}
