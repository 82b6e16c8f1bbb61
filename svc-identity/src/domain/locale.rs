//! The language that a user wants to be written to in.

use super::NotAllowed;

const UNKNOWN: NotAllowed = NotAllowed::new("unknown", "en, fr or es");

/// A language that mails are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locale {
    /// English.
    En,
    /// French.
    Fr,
    /// Spanish.
    Es,
}

impl Locale {
    /// Reads a subtag of BCP 47, to the letter.
    pub fn parse(text: &str) -> Result<Self, NotAllowed> {
        match text {
            "en" => Ok(Self::En),
            "fr" => Ok(Self::Fr),
            "es" => Ok(Self::Es),
            _ => Err(UNKNOWN),
        }
    }

    /// The subtag of BCP 47.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
            Self::Es => "es",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_languages_are_spoken() {
        for locale in [Locale::En, Locale::Fr, Locale::Es] {
            assert_eq!(Locale::parse(locale.as_str()), Ok(locale));
        }
        for text in ["", "de", "EN", "en-US", "français"] {
            assert_eq!(Locale::parse(text), Err(UNKNOWN), "{text}");
        }
    }
}
