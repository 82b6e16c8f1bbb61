//! What texts that people write have in common.

/// Whether nothing of it can be seen: a name of zero-width spaces is none.
///
/// The characters are those that Unicode calls default-ignorable, white space and the blank ones among letters. Inside a
/// text they may be needed: a zero-width joiner makes one emoji of several.
pub fn is_invisible(text: &str) -> bool {
    text.chars().all(|c| {
        c.is_whitespace()
            || matches!(
                c,
                '\u{ad}'
                    | '\u{34f}'
                    | '\u{61c}'
                    | '\u{115f}'
                    | '\u{1160}'
                    | '\u{17b4}'
                    | '\u{17b5}'
                    | '\u{180b}'..='\u{180f}'
                    | '\u{200b}'..='\u{200f}'
                    | '\u{202a}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}'
                    | '\u{2800}'
                    | '\u{3164}'
                    | '\u{fe00}'..='\u{fe0f}'
                    | '\u{feff}'
                    | '\u{ffa0}'
                    | '\u{fff0}'..='\u{fff8}'
                    | '\u{e0000}'..='\u{e0fff}'
            )
    })
}

/// Longest code that [`typed_code`] takes, in characters.
pub const MAX_TYPED_CODE_CHARS: usize = 40;

/// A code as people type it from a letter or a screen: ASCII letters, digits, `-` and `_`, without the white space around
/// it and in upper case, so that it is the same however it was typed. `None`: it is no such code.
pub fn typed_code(typed: &str) -> Option<String> {
    let code = typed.trim();
    let is_code = (1..=MAX_TYPED_CODE_CHARS).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    is_code.then(|| code.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_code_is_the_same_however_it_is_typed() {
        for typed in ["EARLY-10_x", " early-10_X\n", "Early-10_X"] {
            assert_eq!(typed_code(typed).as_deref(), Some("EARLY-10_X"));
        }
        let longest = "a".repeat(MAX_TYPED_CODE_CHARS);
        assert!(typed_code(&longest).is_some());
        for wrong in ["", " ", "a b", "a/b", "ÉTÉ", "é", &(longest + "a")] {
            assert_eq!(typed_code(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_no_text() {
        for text in ["", " ", "\u{200b}", "\u{feff}\u{2060} \u{3164}", "\u{2800}"] {
            assert!(is_invisible(text), "{text:?}");
        }
        for text in ["a", "王", "👩\u{200d}👧", "\u{200f}שלום", "-"] {
            assert!(!is_invisible(text), "{text:?}");
        }
    }
}
