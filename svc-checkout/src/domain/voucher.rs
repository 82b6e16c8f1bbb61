//! Vouchers: what they take off an order, and for how many orders.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::money::Money;
use platform::text;
use uuid::Uuid;

/// The code of a voucher, as every service writes it: see [`text::typed_code`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VoucherCode(Arc<str>);

impl VoucherCode {
    /// Reads what somebody typed; `None`: no voucher can have this code.
    pub fn parse(typed: &str) -> Option<Self> {
        let code = text::typed_code(typed)?;
        Some(Self(code.into()))
    }

    /// In upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A voucher belongs to one event; another event may have one of the same code.
pub type VoucherKey = (Uuid, VoucherCode);

/// What is taken off the sum of an order's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// A part of it, 1 to 100 in a hundred.
    Percent(i64),
    /// So much of it, at most all.
    Amount(Money),
}

/// What the catalog says of a voucher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoucherOffer {
    /// Version of these terms.
    pub version: i64,
    /// What it takes off.
    pub reduction: Reduction,
    /// How many orders can have it.
    pub max_uses: i64,
    /// Orders from then on cannot have it.
    pub valid_until: Option<Timestamp>,
}

impl VoucherOffer {
    /// Whether an order that is placed now can have it.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }

    /// What it takes off `sum`, which is 0 or more: whole minor units, rounded down, never more than there is. `None`: it
    /// is in another currency.
    pub fn discount(&self, sum: Money) -> Option<Money> {
        let amount = match self.reduction {
            Reduction::Percent(percent) => {
                let part = i128::from(sum.amount) * i128::from(percent) / 100;
                i64::try_from(part).ok()?
            }
            Reduction::Amount(off) if off.currency == sum.currency => off.amount,
            Reduction::Amount(_) => return None,
        };
        Some(Money {
            amount: amount.clamp(0, sum.amount),
            ..sum
        })
    }
}

/// A voucher that a buyer names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedVoucher {
    /// Its code.
    pub code: VoucherCode,
    /// What the catalog says of it; `None`: the event has no such voucher.
    pub offer: Option<VoucherOffer>,
}

/// The voucher of an order, as it was when the order was placed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedVoucher {
    /// Its code.
    pub code: VoucherCode,
    /// Version of its terms.
    pub version: i64,
    /// How many orders could have it.
    pub max_uses: i64,
    /// What it took off the sum of the lines.
    pub discount: Money,
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::money::Currency;

    fn off(reduction: Reduction, sum: i64) -> Option<i64> {
        let offer = VoucherOffer {
            version: 1,
            reduction,
            max_uses: 1,
            valid_until: None,
        };
        let discount = offer.discount(Money::new(sum, Currency::EUR))?;
        Some(discount.amount)
    }

    #[test]
    fn a_discount_is_rounded_down_and_never_more_than_the_sum() {
        for (percent, sum, expected) in [
            (10, 2_599, 259),
            (1, 99, 0),
            (33, 100, 33),
            (99, 1, 0),
            (100, 2_599, 2_599),
            (50, 0, 0),
            (100, i64::MAX, i64::MAX),
        ] {
            assert_eq!(off(Reduction::Percent(percent), sum), Some(expected));
        }
        for (amount, sum, expected) in [(500, 2_500, 500), (2_500, 500, 500), (1, 0, 0)] {
            let reduction = Reduction::Amount(Money::new(amount, Currency::EUR));
            assert_eq!(off(reduction, sum), Some(expected));
        }
        let dollars = Reduction::Amount(Money::new(500, Currency::USD));
        assert_eq!(off(dollars, 2_500), None);
    }

    #[test]
    fn valid_until_is_the_first_moment_without_it() {
        let until = Timestamp::from_seconds(100);
        let offer = VoucherOffer {
            version: 1,
            reduction: Reduction::Percent(10),
            max_uses: 1,
            valid_until: Some(until),
        };
        assert!(offer.is_valid(Timestamp::from_seconds(99)));
        assert!(!offer.is_valid(until));
    }
}
