//! Telephone numbers.

use super::NotAllowed;

/// Most digits of a number, country code included: ITU-T E.164, section 6.2.1.
const MAX_DIGITS: usize = 15;
/// Fewest digits of a number that is in use anywhere, country code included.
const MIN_DIGITS: usize = 7;
/// Longest text that is looked at: separators included.
const MAX_TEXT_LEN: usize = 40;

const FORM: NotAllowed = NotAllowed::new(
    "form",
    "a number with its country code, such as +33612345678",
);

/// A number in E.164: `+`, country code, number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone(String);

impl Phone {
    /// Reads a number; the separators that people write between digits are dropped.
    pub fn parse(text: &str) -> Result<Self, NotAllowed> {
        if text.len() > MAX_TEXT_LEN {
            return Err(FORM);
        }
        let digits = text.trim().strip_prefix('+').ok_or(FORM)?;
        let is_separator = |c: char| matches!(c, ' ' | '\u{a0}' | '-' | '.' | '(' | ')' | '/');
        let digits: String = digits.chars().filter(|c| !is_separator(*c)).collect();
        let valid = (MIN_DIGITS..=MAX_DIGITS).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if valid {
            Ok(Self(format!("+{digits}")))
        } else {
            Err(FORM)
        }
    }

    /// The number: `+33612345678`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn separators_are_dropped() {
        for text in [
            "+33612345678",
            " +33 6 12 34 56 78",
            "+33-6.12(34)56/78",
            "+33\u{a0}612345678",
        ] {
            assert_eq!(
                Phone::parse(text).as_ref().map(Phone::as_str),
                Ok("+33612345678"),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_number_with_a_country_code_is_refused() {
        let spaces = format!("+33612345678{}", " ".repeat(MAX_TEXT_LEN));
        for text in [
            "",
            "+",
            "0612345678",
            "33612345678",
            "0033612345678",
            "+0612345678",
            "+3361234567890123",
            "+336123",
            "+33 6 12 34 56 7x",
            "++33612345678",
            "+٣٣٦١٢٣٤٥٦٧٨",
            &spaces,
        ] {
            assert_eq!(Phone::parse(text), Err(FORM), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_number_of_e164_is_read_and_kept(digits in "[1-9][0-9]{6,14}") {
            let text = format!("+{digits}");
            let phone = Phone::parse(&text);
            prop_assert_eq!(phone.as_ref().map(Phone::as_str), Ok(text.as_str()));
        }

        #[test]
        fn reading_never_panics(text in any::<String>()) {
            if let Ok(phone) = Phone::parse(&text) {
                let again = Phone::parse(phone.as_str());
                prop_assert_eq!(again, Ok(phone));
            }
        }
    }
}
