//! Money: whole minor units and a currency. No floats, no rounding that is not asked for, no sum of two currencies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount in minor units (cents for EUR, whole yen for JPY). It may be negative; whether that makes sense is for
/// the rules of the thing it prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// In minor units: 2500 is 25.00 EUR.
    #[schema(example = 2500)]
    pub amount: i64,
    /// ISO 4217, such as EUR.
    pub currency: Currency,
}

/// Why a sum could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The result is not an i64.
    #[error("the amount is too large")]
    Overflow,
    /// The sides have two currencies.
    #[error("{left} and {right} cannot be added")]
    CurrencyMismatch {
        /// Of the left side.
        left: Currency,
        /// Of the right side.
        right: Currency,
    },
}

impl Money {
    /// `amount` minor units of `currency`.
    pub const fn new(amount: i64, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The sum of both.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// `self` less `other`.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    /// `times` as much.
    pub fn checked_mul(self, times: i64) -> Result<Self, MoneyError> {
        let amount = self.amount.checked_mul(times).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    /// The sum of all, zero of `currency` for none.
    pub fn checked_sum(
        currency: Currency,
        all: impl IntoIterator<Item = Self>,
    ) -> Result<Self, MoneyError> {
        all.into_iter()
            .try_fold(Self::zero(currency), Self::checked_add)
    }

    fn combine(self, other: Self, op: fn(i64, i64) -> Option<i64>) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch {
                left: self.currency,
                right: other.currency,
            });
        }
        let amount = op(self.amount, other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }
}

/// For people: `25.00 EUR`, `2500 JPY`, `-0.050 BHD`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.currency.minor_digits());
        let sign = if self.amount < 0 { "-" } else { "" };
        let amount = self.amount.unsigned_abs();
        if digits == 0 {
            return write!(f, "{sign}{amount} {}", self.currency);
        }
        let unit = 10_u64.pow(u32::from(self.currency.minor_digits()));
        let (major, minor) = (amount / unit, amount % unit);
        write!(f, "{sign}{major}.{minor:0digits$} {}", self.currency)
    }
}

/// A currency of ISO 4217 that something can be priced in: it has a minor unit (gold and test codes do not).
///
/// A code that was replaced since (HRK) stays valid: what was sold in it must stay readable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// The text is not the code of a currency that something can be priced in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a currency code of ISO 4217 in capitals, such as EUR")]
pub struct CurrencyError;

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");
    /// The dollar of the United States.
    pub const USD: Self = Self(*b"USD");

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a currency code is ASCII")
    }

    /// How many digits the minor unit has: 2 for EUR, 0 for JPY, 3 for BHD.
    pub fn minor_digits(self) -> u8 {
        iso_currency::Currency::from_code(self.as_str())
            .and_then(minor_digits)
            .expect("a Currency is only made from a code with a minor unit")
    }
}

/// The digits of a minor unit that money can be counted in.
fn minor_digits(currency: iso_currency::Currency) -> Option<u8> {
    currency
        .exponent()
        .and_then(|digits| u8::try_from(digits).ok())
}

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(code: &str) -> Result<Self, CurrencyError> {
        let bytes: [u8; 3] = code.as_bytes().try_into().map_err(|_| CurrencyError)?;
        if !bytes.iter().all(u8::is_ascii_uppercase) {
            return Err(CurrencyError);
        }
        iso_currency::Currency::from_code(code)
            .and_then(minor_digits)
            .ok_or(CurrencyError)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Code;

        impl de::Visitor<'_> for Code {
            type Value = Currency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a currency code of ISO 4217")
            }

            fn visit_str<E: de::Error>(self, code: &str) -> Result<Currency, E> {
                code.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Code)
    }
}

impl utoipa::PartialSchema for Currency {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[A-Z]{3}$"))
            .description(Some("A currency code of ISO 4217."))
            .examples(["EUR"])
            .into()
    }
}

impl utoipa::ToSchema for Currency {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn codes_have_their_minor_digits() {
        for (code, digits) in [
            ("EUR", 2),
            ("USD", 2),
            ("JPY", 0),
            ("KRW", 0),
            ("BHD", 3),
            ("CLF", 4),
            ("HRK", 2),
        ] {
            assert_eq!(currency(code).minor_digits(), digits, "{code}");
        }
        // Small letters, no such code, gold, no currency, the code for tests.
        for code in [
            "eur", "Eur", "EU", "EURO", "", "ABC", "XAU", "XXX", "XTS", "É1",
        ] {
            assert_eq!(code.parse::<Currency>(), Err(CurrencyError), "{code}");
        }
    }

    #[test]
    fn people_read_major_units() {
        for (amount, code, text) in [
            (2500, "EUR", "25.00 EUR"),
            (5, "EUR", "0.05 EUR"),
            (-5, "EUR", "-0.05 EUR"),
            (0, "EUR", "0.00 EUR"),
            (2500, "JPY", "2500 JPY"),
            (1, "BHD", "0.001 BHD"),
            (i64::MIN, "EUR", "-92233720368547758.08 EUR"),
        ] {
            assert_eq!(Money::new(amount, currency(code)).to_string(), text);
        }
    }

    #[test]
    fn sums_never_wrap_and_never_mix() {
        let eur = |amount| Money::new(amount, Currency::EUR);
        assert_eq!(eur(1).checked_add(eur(2)), Ok(eur(3)));
        assert_eq!(eur(1).checked_sub(eur(2)), Ok(eur(-1)));
        assert_eq!(eur(25).checked_mul(4), Ok(eur(100)));
        assert_eq!(eur(i64::MAX).checked_add(eur(1)), Err(MoneyError::Overflow));
        assert_eq!(eur(i64::MIN).checked_sub(eur(1)), Err(MoneyError::Overflow));
        assert_eq!(eur(i64::MAX).checked_mul(2), Err(MoneyError::Overflow));
        let mismatch = MoneyError::CurrencyMismatch {
            left: Currency::EUR,
            right: Currency::USD,
        };
        assert_eq!(
            eur(1).checked_add(Money::new(1, Currency::USD)),
            Err(mismatch)
        );
        assert_eq!(mismatch.to_string(), "EUR and USD cannot be added");
        assert_eq!(Money::checked_sum(Currency::EUR, []), Ok(eur(0)));
        assert_eq!(
            Money::checked_sum(Currency::EUR, [eur(1), eur(2)]),
            Ok(eur(3))
        );
    }

    #[test]
    fn json_has_two_fields_and_no_others() {
        let price = Money::new(2500, Currency::EUR);
        let json = r#"{"amount":2500,"currency":"EUR"}"#;
        assert_eq!(serde_json::to_string(&price).unwrap(), json);
        assert_eq!(serde_json::from_str::<Money>(json).unwrap(), price);
        for bad in [
            r#"{"amount":25.5,"currency":"EUR"}"#,
            r#"{"amount":"2500","currency":"EUR"}"#,
            r#"{"amount":2500,"currency":"eur"}"#,
            r#"{"amount":2500}"#,
            r#"{"amount":2500,"currency":"EUR","cents":0}"#,
        ] {
            assert!(serde_json::from_str::<Money>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn taking_away_undoes_adding(a in any::<i64>(), b in any::<i64>()) {
            let (a, b) = (Money::new(a, Currency::EUR), Money::new(b, Currency::EUR));
            if let Ok(sum) = a.checked_add(b) {
                prop_assert_eq!(sum.checked_sub(b), Ok(a));
            }
        }
    }
}
