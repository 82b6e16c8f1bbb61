//! What is wrong with a field, and the rules that all texts share.

use std::borrow::Cow;

use platform::text::is_invisible;

/// One rule that one field breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer to the field, such as `/venue/city`.
    pub field: &'static str,
    /// For programs: `length`, `text`, `range`, `order`, `unknown`, `currency`, `capacity`, `count`, `one-of`.
    pub code: &'static str,
    /// What is allowed, for people.
    pub detail: Cow<'static, str>,
}

/// Every rule that an input breaks: whoever filled in a form wants to hear of all mistakes at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Notes one.
    pub fn add(
        &mut self,
        field: &'static str,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) {
        self.0.push(Violation {
            field,
            code,
            detail: detail.into(),
        });
    }

    /// Notes one unless `allowed`.
    pub fn require(
        &mut self,
        allowed: bool,
        field: &'static str,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) {
        if !allowed {
            self.add(field, code, detail);
        }
    }

    /// `value`, if no rule is broken.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    /// What was noted, in the order of noting.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }

    /// A text of one line, from 1 to `max_chars` characters, without the white space around it.
    pub(super) fn line(&mut self, field: &'static str, max_chars: usize, text: &mut String) {
        trim(text);
        self.require(
            (1..=max_chars).contains(&text.chars().count()),
            field,
            "length",
            format!("from 1 to {max_chars} characters"),
        );
        self.require(
            !text.chars().any(char::is_control),
            field,
            "text",
            "one line, no control characters",
        );
        self.require(
            text.is_empty() || !is_invisible(text),
            field,
            "text",
            "something that can be seen",
        );
    }

    /// A text of any number of lines, at most `max_chars` characters, without the white space around it.
    pub(super) fn lines(&mut self, field: &'static str, max_chars: usize, text: &mut String) {
        trim(text);
        self.require(
            text.chars().count() <= max_chars,
            field,
            "length",
            format!("at most {max_chars} characters"),
        );
        self.require(
            !text
                .chars()
                .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')),
            field,
            "text",
            "no control characters but line ends and tabs",
        );
    }
}

fn trim(text: &mut String) {
    let trimmed = text.trim();
    if trimmed.len() != text.len() {
        *text = trimmed.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(violations: &Violations) -> Vec<&'static str> {
        violations.iter().map(|violation| violation.code).collect()
    }

    #[test]
    fn a_line_is_trimmed_and_counted_in_characters() {
        for (text, kept, expected) in [
            (" Fête ", "Fête", vec![]),
            ("\n", "", vec!["length"]),
            ("äöüßé", "äöüßé", vec![]),
            ("sixsix", "sixsix", vec!["length"]),
            ("a\nb", "a\nb", vec!["text"]),
            ("a\0b", "a\0b", vec!["text"]),
            ("\u{200b}\u{2060}", "\u{200b}\u{2060}", vec!["text"]),
            ("a\u{200d}b", "a\u{200d}b", vec![]),
        ] {
            let (mut violations, mut text) = (Violations::default(), text.to_owned());
            violations.line("/name", 5, &mut text);
            assert_eq!((text.as_str(), codes(&violations)), (kept, expected));
        }
    }

    #[test]
    fn lines_may_be_none_or_many() {
        for (text, expected) in [
            ("", vec![]),
            ("a\r\n\tb", vec![]),
            ("a\u{7}", vec!["text"]),
            ("123456", vec!["length"]),
        ] {
            let (mut violations, mut text) = (Violations::default(), text.to_owned());
            violations.lines("/description", 5, &mut text);
            assert_eq!(codes(&violations), expected, "{text:?}");
        }
    }
}
