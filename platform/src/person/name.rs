//! Names of people.

use super::NotAllowed;
use super::line::visible_line;

/// What a person wants to be called: any text of one line. Nobody's name has to have two parts or Latin letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Reads a name; spaces around it are dropped.
    pub fn parse(text: &str) -> Result<Self, NotAllowed> {
        Ok(Self(visible_line(text)?.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::line::{FORM, LENGTH, MAX_LINE_CHARS};
    use proptest::prelude::*;

    #[test]
    fn names_are_one_line_of_text() {
        for text in [
            "Alice",
            "X",
            "María José Carreño Quiñones",
            "王小明",
            "O’Neil 3rd",
            "👩‍🚀",
        ] {
            assert_eq!(Name::parse(text).as_ref().map(Name::as_str), Ok(text));
        }
        assert_eq!(Name::parse("  Bob ").as_ref().map(Name::as_str), Ok("Bob"));
        for text in ["", " ", "\t"] {
            assert_eq!(Name::parse(text), Err(LENGTH), "{text:?}");
        }
        for text in ["a\nb", "a\0b", "a\u{7f}b", "a\u{2028}b"] {
            assert_eq!(Name::parse(text), Err(FORM), "{text:?}");
        }
    }

    #[test]
    fn the_length_counts_characters() {
        assert!(Name::parse(&"ü".repeat(MAX_LINE_CHARS)).is_ok());
        assert_eq!(Name::parse(&"ü".repeat(MAX_LINE_CHARS + 1)), Err(LENGTH));
    }

    proptest! {
        #[test]
        fn reading_a_name_again_changes_nothing(text in any::<String>()) {
            if let Ok(name) = Name::parse(&text) {
                let again = Name::parse(name.as_str());
                prop_assert_eq!(again, Ok(name));
            }
        }
    }
}
