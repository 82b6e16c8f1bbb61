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

#[cfg(test)]
mod tests {
    use super::*;

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
