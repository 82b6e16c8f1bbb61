//! What a password must be.

use passwords::analyzer::is_common_password;

use super::NotAllowed;

/// Fewest characters: NIST SP 800-63B, section 3.1.1.2.
pub const MIN_PASSWORD_CHARS: usize = 8;
/// Most characters. Far above any passphrase; it bounds the work of reading and hashing one.
pub const MAX_PASSWORD_CHARS: usize = 1_024;

const LENGTH: NotAllowed = NotAllowed::new("length", "8 to 1024 characters");
const TOO_LONG: NotAllowed = NotAllowed::new("length", "at most 1024 characters");

const COMMON: NotAllowed = NotAllowed::new(
    "common",
    "a password that is not among the 100,000 that are tried first",
);

/// The policy for a new password: its length, and that it is none of those that are known to be tried first. Rules
/// about digits and signs make passwords worse (NIST SP 800-63B forbids them), and any Unicode text will do.
pub fn check_new(password: &str) -> Result<(), NotAllowed> {
    if !(MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&password.chars().count()) {
        return Err(LENGTH);
    }
    // Capitals are the first thing that guessing programs vary.
    if is_common_password(password) || is_common_password(password.to_lowercase()) {
        return Err(COMMON);
    }
    Ok(())
}

/// Whether a password that somebody claims to have can be looked at. The policy may have been another one when it was
/// set, so a short one is not refused but wrong.
pub fn check_presented(password: &str) -> Result<(), NotAllowed> {
    let within = password.chars().count() <= MAX_PASSWORD_CHARS;
    if within { Ok(()) } else { Err(TOO_LONG) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn characters_are_counted_and_not_bytes() {
        assert_eq!(check_new("1234567"), Err(LENGTH));
        assert_eq!(check_new("ééééééé"), Err(LENGTH));
        assert_eq!(check_new(&"💺".repeat(MAX_PASSWORD_CHARS + 1)), Err(LENGTH));
        for text in [
            "        ",
            "12345678 seats",
            "пароль-ключ",
            "correct horse battery staple",
        ] {
            assert_eq!(check_new(text), Ok(()), "{text}");
        }
        assert_eq!(check_new(&"💺".repeat(MAX_PASSWORD_CHARS)), Ok(()));
    }

    #[test]
    fn what_everyone_tries_first_is_refused() {
        for text in [
            "12345678",
            "password",
            "Password1",
            "PASSWORD123",
            "iloveyou",
            "qwertyuiop",
            "P@ssw0rd",
        ] {
            assert_eq!(check_new(text), Err(COMMON), "{text}");
        }
        // It may have been set before it was known to be common.
        assert_eq!(check_presented("12345678"), Ok(()));
    }

    #[test]
    fn a_presented_password_may_be_short() {
        assert_eq!(check_presented(""), Ok(()));
        assert_eq!(check_presented(&"💺".repeat(MAX_PASSWORD_CHARS)), Ok(()));
        assert_eq!(
            check_presented(&"💺".repeat(MAX_PASSWORD_CHARS + 1)),
            Err(TOO_LONG)
        );
    }

    proptest! {
        // Without optimization the list is searched from its beginning each time.
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_text_of_that_length_will_do(text in "\\PC{8,64}") {
            prop_assert_eq!(check_new(&text), Ok(()));
        }
    }
}
