//! What counts as the same word, for whoever looks for one.

use unicode_normalization::UnicodeNormalization as _;

/// The words of a text, folded: `Saint-Étienne` and `SAINT ETIENNE` have the same two.
///
/// Whatever is no letter or digit parts words. Chinese and Japanese are written without gaps, so each of their characters
/// is a word of its own; who looks for several finds the texts that have all of them.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in fold(text) {
        if !c.is_alphanumeric() || stands_alone(c) {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
        }
        if stands_alone(c) {
            words.push(c.to_string());
        } else if c.is_alphanumeric() {
            word.push(c);
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// The text with neither case, accents nor ligatures.
fn fold(text: &str) -> impl Iterator<Item = char> {
    let bare = text.nfkd().filter(|c| !is_accent(*c));
    bare.flat_map(char::to_lowercase)
        .flat_map(|c| match without_stroke(c) {
            Some(letters) => letters.chars().chain(None),
            None => "".chars().chain(Some(c)),
        })
}

/// The accents of Latin, Greek and Cyrillic. The marks of other scripts are vowels as often as not.
const fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}')
}

/// Letters that Unicode does not take apart and that people type without whatever makes them special.
const fn without_stroke(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        'ς' => "σ",
        _ => return None,
    })
}

/// Ideographs and kana.
const fn stands_alone(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded() {
        for (text, expected) in [
            ("Saint-Étienne", &["saint", "etienne"][..]),
            ("  L’Olympia, 28 bd.\n", &["l", "olympia", "28", "bd"]),
            ("STRASSE Straße", &["strasse", "strasse"]),
            ("Łódź København İzmir", &["lodz", "kobenhavn", "izmir"]),
            ("Œuvre cœur Ærø", &["oeuvre", "coeur", "aero"]),
            ("ΟΔΥΣΣΕΥΣ Ὀδυσσεύς", &["οδυσσευσ", "οδυσσευσ"]),
            ("Чайковский ЙОЛКА", &["чаиковскии", "иолка"]),
            ("ＪＡＺＺ ﬁn", &["jazz", "fin"]),
            ("東京Jazz", &["東", "京", "jazz"]),
            ("🎸 ... !", &[]),
            ("", &[]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn an_accent_may_be_written_either_way() {
        assert_eq!(words("caf\u{e9}"), words("cafe\u{301}"));
    }
}
