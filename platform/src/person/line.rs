//! One line of text that people write: names and subjects.

use crate::text::is_invisible;

use super::NotAllowed;

/// Longest line, in characters.
pub const MAX_LINE_CHARS: usize = 200;

/// Why a line is refused that is too short or too long.
pub const LENGTH: NotAllowed = NotAllowed::new("length", "1 to 200 characters");
const VISIBLE: NotAllowed = NotAllowed::new("form", "something that can be seen");
/// Why a line is refused that breaks, or controls a terminal.
pub const FORM: NotAllowed = NotAllowed::new("form", "one line of text without control characters");

/// The line, without the spaces around it.
pub fn visible_line(text: &str) -> Result<&str, NotAllowed> {
    let text = text.trim();
    if !(1..=MAX_LINE_CHARS).contains(&text.chars().count()) {
        return Err(LENGTH);
    }
    // It is printed on tickets and stands in headers of mails; U+2028 and U+2029 break lines as well.
    if text
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
    {
        return Err(FORM);
    }
    if is_invisible(text) {
        return Err(VISIBLE);
    }
    Ok(text)
}
