//! E-mail addresses.

use std::fmt;

use super::NotAllowed;

/// Longest address that mail servers must take: RFC 5321, section 4.5.3.1.3, without the angle brackets.
pub const MAX_EMAIL_LEN: usize = 254;
/// Longest part before the `@`: RFC 5321, section 4.5.3.1.1.
const MAX_LOCAL_LEN: usize = 64;
/// Longest part between two dots of a domain: RFC 1035, section 2.3.4.
const MAX_LABEL_LEN: usize = 63;

const LENGTH: NotAllowed = NotAllowed::new("length", "at most 254 characters");
const FORM: NotAllowed = NotAllowed::new("form", "an e-mail address such as name@example.com");

/// An address that mail can be sent to, as its owner wrote it.
///
/// Only what every mail server takes: ASCII, no quoted parts, no address literals. A name in other letters can be
/// given in the form that the DNS has for it (`xn--…`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// Reads an address; spaces around it, which pasting adds, are dropped.
    pub fn parse(text: &str) -> Result<Self, NotAllowed> {
        let text = text.trim();
        if text.len() > MAX_EMAIL_LEN {
            return Err(LENGTH);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(FORM)?;
        if is_local(local) && is_domain(domain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(FORM)
        }
    }

    /// The address as its owner wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What two spellings of one address have in common.
    ///
    /// The part before the `@` could differ by case, says RFC 5321, but nobody hands such addresses out, and who
    /// signs in with `Alice@` after registering as `alice@` is right.
    pub fn key(&self) -> EmailKey {
        EmailKey(self.0.to_ascii_lowercase())
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address in the one spelling under which it is claimed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailKey(String);

impl EmailKey {
    /// The spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `dot-atom-text` of RFC 5322.
fn is_local(local: &str) -> bool {
    let is_atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    local.len() <= MAX_LOCAL_LEN
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.bytes().all(is_atext))
}

/// At least two labels of letters, digits and inner hyphens; the last one is no number, else it were an IP address.
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL_LEN).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.split('.').all(is_label)
        && domain
            .rsplit_once('.')
            .is_some_and(|(_, top)| !top.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_that_exist_are_read() {
        for text in [
            "alice@example.com",
            "a@b.co",
            "first.last+tag@sub.example.co.uk",
            "o'brien@example.ie",
            "x@xn--bcher-kva.example",
            "user@123.example",
        ] {
            assert_eq!(
                Email::parse(text).as_ref().map(Email::as_str),
                Ok(text),
                "{text}"
            );
        }
        assert_eq!(
            Email::parse(" bob@example.com\n").map(|e| e.to_string()),
            Ok("bob@example.com".into())
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(MAX_LOCAL_LEN + 1));
        let long_label = format!("a@{}.com", "b".repeat(MAX_LABEL_LEN + 1));
        for text in [
            "",
            "@",
            "alice",
            "alice@",
            "@example.com",
            "a b@example.com",
            "a@b@example.com",
            "a..b@example.com",
            ".a@example.com",
            "a.@example.com",
            "a@localhost",
            "a@example..com",
            "a@example.com.",
            "a@-b.com",
            "a@b-.com",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            "\"a b\"@example.com",
            "a@exämple.com",
            "ä@example.com",
            "a@example.com\nBcc: b@example.com",
            "a\r\n@example.com",
            "a\0@example.com",
            &long_local,
            &long_label,
        ] {
            assert_eq!(Email::parse(text), Err(FORM), "{text:?}");
        }
    }

    #[test]
    fn the_length_is_limited() {
        let domain = format!(
            "{}.{}.{}.{}.com",
            "a".repeat(60),
            "b".repeat(60),
            "c".repeat(60),
            "d".repeat(5)
        );
        let local = "x".repeat(MAX_EMAIL_LEN - 1 - domain.len());
        assert!(Email::parse(&format!("{local}@{domain}")).is_ok());
        assert_eq!(Email::parse(&format!("{local}x@{domain}")), Err(LENGTH));
    }

    proptest! {
        #[test]
        fn case_makes_no_second_address(text in "[a-zA-Z0-9]{1,9}(\\.[a-zA-Z0-9+]{1,9})?@[a-zA-Z0-9]{1,9}\\.[a-zA-Z]{2,6}") {
            let key = |text: &str| Email::parse(text).map(|email| email.key());
            prop_assert!(key(&text).is_ok());
            prop_assert_eq!(key(&text.to_ascii_uppercase()), key(&text));
            prop_assert_eq!(key(&text.to_ascii_lowercase()), key(&text));
        }

        #[test]
        fn reading_never_panics_and_what_is_read_can_stand_in_a_header(text in any::<String>()) {
            if let Ok(email) = Email::parse(&text) {
                prop_assert!(email.as_str().bytes().all(|b| b.is_ascii_graphic()));
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email.clone()));
                prop_assert_eq!(Email::parse(email.key().as_str()).map(|e| e.key()), Ok(email.key()));
            }
        }
    }
}
