//! What an event's organizer gives away.

use platform::clock::Timestamp;
use platform::ids::derived_id;
use platform::money::{Currency, Money};
use platform::text::{MAX_TYPED_CODE_CHARS, typed_code};
use uuid::Uuid;

use super::event::Event;
use super::rule::Violations;
use super::ticket_type::MAX_PRICE_MINOR_UNITS;

/// Most uses of a voucher: one for each ticket of the largest ticket type.
pub const MAX_USES: i64 = super::ticket_type::MAX_QUANTITY;
/// Most codes that an event can ever have. They are counted when one is added.
pub const MAX_VOUCHERS: i64 = 5_000;

/// Which voucher: an event has one of a code.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VoucherKey {
    /// Event.
    pub event_id: Uuid,
    /// Code, as [`typed_code`] writes it.
    pub code: String,
}

impl VoucherKey {
    /// The voucher of the event with the code that somebody typed; `None`: no voucher can have this code.
    pub fn parse(event_id: Uuid, typed: &str) -> Option<Self> {
        let code = typed_code(typed)?;
        Some(Self { event_id, code })
    }

    /// The id of its row.
    pub fn id(&self) -> Uuid {
        derived_id(self.event_id, &["voucher", &self.code])
    }
}

/// What is taken off an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// So many hundredths of the sum of its lines, rounded down to the minor unit.
    Percent(i64),
    /// So much, at most the sum of its lines.
    Amount(Money),
}

/// What an organizer says about a voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What it takes off.
    pub reduction: Reduction,
    /// How many orders can have it.
    pub max_uses: i64,
    /// Orders from then on cannot have it; none: no end.
    pub valid_until: Option<Timestamp>,
}

/// A voucher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voucher {
    /// Which one.
    pub key: VoucherKey,
    /// What the organizer said.
    pub terms: Terms,
    /// From 1, plus one with every change, also when it is deleted and made again.
    pub version: i64,
}

impl Voucher {
    /// Whether an order in this currency can have it.
    pub fn is_for(&self, currency: Currency) -> bool {
        match self.terms.reduction {
            Reduction::Percent(_) => true,
            Reduction::Amount(off) => off.currency == currency,
        }
    }

    /// The broken rule of a ticket type that would bring its event another currency than this voucher has: nobody could use it
    /// any more, and the list of vouchers would go on showing it.
    pub fn outlived(&self) -> Violations {
        let mut violations = Violations::default();
        let code = &self.key.code;
        violations.add(
            "/price/currency",
            "currency",
            format!(
                "voucher {code} takes off an amount in another one: delete it first, or change it to percent_off"
            ),
        );
        violations
    }
}

/// What stands in a form for a voucher.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Hundredths.
    pub percent_off: Option<i64>,
    /// Amount.
    pub amount_off: Option<Money>,
    /// Uses.
    pub max_uses: i64,
    /// End.
    pub valid_until: Option<Timestamp>,
}

impl Wanted {
    /// The terms, if a voucher of `event` can have them.
    pub fn checked_for(self, event: &Event) -> Result<Terms, Violations> {
        let mut violations = Violations::default();
        let reduction = match (self.percent_off, self.amount_off) {
            (Some(percent), None) => {
                violations.require(
                    (1..=100).contains(&percent),
                    "/percent_off",
                    "range",
                    "from 1 to 100",
                );
                Some(Reduction::Percent(percent))
            }
            (None, Some(amount)) => {
                check_amount(amount, event, &mut violations);
                Some(Reduction::Amount(amount))
            }
            (Some(_), Some(_)) | (None, None) => None,
        };
        violations.require(
            (1..=MAX_USES).contains(&self.max_uses),
            "/max_uses",
            "range",
            format!("from 1 to {MAX_USES}"),
        );
        let Some(reduction) = reduction else {
            violations.add("", "one-of", "either percent_off or amount_off");
            return Err(violations);
        };
        violations.or(Terms {
            reduction,
            max_uses: self.max_uses,
            valid_until: self.valid_until,
        })
    }
}

fn check_amount(amount: Money, event: &Event, violations: &mut Violations) {
    violations.require(
        (1..=MAX_PRICE_MINOR_UNITS).contains(&amount.amount),
        "/amount_off/amount",
        "range",
        format!("from 1 to {MAX_PRICE_MINOR_UNITS} minor units"),
    );
    match event.currency() {
        Some(currency) => violations.require(
            amount.currency == currency,
            "/amount_off/currency",
            "currency",
            format!("{currency}, as the event's ticket types"),
        ),
        None => violations.add(
            "/amount_off/currency",
            "currency",
            "the event has no currency yet: add a ticket type first, or use percent_off",
        ),
    }
}

/// Why a code is none.
pub fn code_rule() -> String {
    format!("1 to {MAX_TYPED_CODE_CHARS} letters from A to Z, digits, - and _")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::samples::{draft, sellable};

    const WANTED: Wanted = Wanted {
        percent_off: Some(10),
        amount_off: None,
        max_uses: 5,
        valid_until: None,
    };

    fn broken(wanted: Wanted, event: &Event) -> Vec<&'static str> {
        let violations = wanted.checked_for(event).err().unwrap_or_default();
        violations.iter().map(|known| known.field).collect()
    }

    #[test]
    fn exactly_one_reduction_within_its_limits() {
        let event = sellable();
        let amount = |amount, currency| Wanted {
            percent_off: None,
            amount_off: Some(Money::new(amount, currency)),
            ..WANTED
        };
        let percent = |percent| Wanted {
            percent_off: Some(percent),
            ..WANTED
        };
        let eur = Currency::EUR;
        for (wanted, fields) in [
            (percent(1), vec![]),
            (percent(100), vec![]),
            (percent(0), vec!["/percent_off"]),
            (percent(101), vec!["/percent_off"]),
            (amount(1, eur), vec![]),
            (amount(0, eur), vec!["/amount_off/amount"]),
            (amount(-5, eur), vec!["/amount_off/amount"]),
            (
                amount(MAX_PRICE_MINOR_UNITS + 1, eur),
                vec!["/amount_off/amount"],
            ),
            (amount(1, Currency::USD), vec!["/amount_off/currency"]),
            (
                Wanted {
                    percent_off: Some(10),
                    max_uses: 0,
                    ..amount(1, eur)
                },
                vec!["/max_uses", ""],
            ),
            (
                Wanted {
                    percent_off: None,
                    ..WANTED
                },
                vec![""],
            ),
            (
                Wanted {
                    max_uses: MAX_USES + 1,
                    ..WANTED
                },
                vec!["/max_uses"],
            ),
        ] {
            assert_eq!(broken(wanted, &event), fields, "{wanted:?}");
        }
        assert_eq!(
            broken(amount(1, eur), &draft()),
            ["/amount_off/currency"],
            "nothing is sold, so there is no currency"
        );
        assert!(broken(WANTED, &draft()).is_empty());
    }

    #[test]
    fn an_amount_is_for_orders_in_its_currency_and_a_share_for_all() {
        let voucher = |reduction| Voucher {
            key: VoucherKey::parse(Uuid::nil(), "EARLY").expect("a code"),
            terms: Terms {
                reduction,
                max_uses: 1,
                valid_until: None,
            },
            version: 1,
        };
        let in_euros = voucher(Reduction::Amount(Money::new(500, Currency::EUR)));
        assert!(in_euros.is_for(Currency::EUR));
        assert!(!in_euros.is_for(Currency::USD));
        assert!(voucher(Reduction::Percent(10)).is_for(Currency::USD));
        let outlived = in_euros.outlived();
        let [violation] = &outlived.iter().collect::<Vec<_>>()[..] else {
            panic!("{outlived:?}");
        };
        assert_eq!(violation.field, "/price/currency");
        assert!(violation.detail.contains("EARLY"), "{violation:?}");
    }

    #[test]
    fn a_code_is_one_voucher_of_its_event_however_it_is_typed() {
        let key = |event, typed| VoucherKey::parse(Uuid::from_u128(event), typed);
        let early = key(1, "EARLY").expect("a code");
        assert_eq!(key(1, " early "), Some(early.clone()));
        assert_eq!(key(1, "a/b"), None);
        let other = key(2, "EARLY").expect("a code");
        assert_ne!(early.id(), other.id());
    }
}
