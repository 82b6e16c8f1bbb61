//! Amounts as Stripe counts them.

use platform::money::Money;

/// Two currencies without minor unit that Stripe counts in hundredths all the same, and refuses parts of one.
const IN_HUNDREDTHS: [&str; 2] = ["ISK", "UGX"];
/// Currencies without minor unit that Stripe counts as everybody does.
const WHOLE: [&str; 14] = [
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "PYG", "RWF", "VND", "VUV", "XAF", "XOF",
    "XPF",
];
/// Of two digits in ISO 4217 and of none at Stripe. Nobody is charged a hundred times too much by an oversight.
const NOT_TAKEN: [&str; 1] = ["MGA"];

/// The amount as `amount` of Stripe's API; `None` when we do not know how Stripe counts the currency.
///
/// Source: <https://docs.stripe.com/currencies>, "Minor units in API amounts" and "Special cases".
pub(super) fn stripe_amount(money: Money) -> Option<i64> {
    let code = money.currency.as_str();
    match money.currency.minor_digits() {
        0 if WHOLE.contains(&code) => Some(money.amount),
        0 if IN_HUNDREDTHS.contains(&code) => money.amount.checked_mul(100),
        2 if !NOT_TAKEN.contains(&code) => Some(money.amount),
        // Stripe takes them in thousandths, the last digit 0, and says so itself where it is another.
        3 => Some(money.amount),
        _ => None,
    }
}

/// The currency as `currency` of Stripe's API.
pub(super) fn stripe_currency(money: Money) -> String {
    money.currency.as_str().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_units_are_not_the_same_everywhere() {
        for (code, amount, expected) in [
            ("EUR", 2_500, Some(2_500)),
            ("JPY", 2_500, Some(2_500)),
            ("BHD", 2_500, Some(2_500)),
            ("ISK", 2_500, Some(250_000)),
            ("UGX", 2_500, Some(250_000)),
            ("ISK", i64::MAX, None),
            ("MGA", 2_500, None),
            ("CLF", 2_500, None),
        ] {
            let money = Money::new(amount, code.parse().unwrap());
            assert_eq!(stripe_amount(money), expected, "{code}");
        }
    }
}
