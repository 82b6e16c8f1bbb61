//! What counts as the same word, for whoever looks for one.

use unicode_normalization::UnicodeNormalization as _;

/// The words of a text, folded: `Saint-Étienne` and `SAINT ETIENNE` have the same two.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    each_word(text, |word| words.push(word.to_owned()));
    words
}

/// Hands over the [`words`] of a text one by one, so that nobody keeps what he only looks at.
///
/// Whatever is no letter or digit parts words. Chinese and Japanese are written without gaps, so each of their characters
/// is a word of its own; who looks for several finds the texts that have all of them.
pub fn each_word(text: &str, mut take: impl FnMut(&str)) {
    let mut word = String::new();
    let mut put = |c: char| {
        let is_alone = stands_alone(c);
        if c.is_alphanumeric() && !is_alone {
            word.push(c);
            return;
        }
        if !word.is_empty() {
            take(&word);
            word.clear();
        }
        if is_alone {
            take(c.encode_utf8(&mut [0; 4]));
        }
    };
    // ASCII is its own decomposition, and an accent that follows it is taken away whether one sees the letter or not: so
    // most of a text needs no tables.
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_other = |c: char| c.is_ascii() != first.is_ascii();
        let (run, behind) = rest.split_at(rest.find(is_other).unwrap_or(rest.len()));
        if first.is_ascii() {
            run.chars().for_each(|c| put(c.to_ascii_lowercase()));
        } else {
            fold(run).for_each(&mut put);
        }
        rest = behind;
    }
    // The end of a text is the end of a word.
    put(' ');
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
    use proptest::prelude::*;

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

    /// What words are, without a way around the tables.
    fn words_by_the_tables(text: &str) -> Vec<String> {
        let spaced: String = fold(text)
            .flat_map(|c| match c {
                c if stands_alone(c) => vec![' ', c, ' '],
                c if c.is_alphanumeric() => vec![c],
                _ => vec![' '],
            })
            .collect();
        let words = spaced.split(' ').filter(|word| !word.is_empty());
        words.map(str::to_owned).collect()
    }

    proptest! {
        #[test]
        fn ascii_needs_no_tables(
            whatever in any::<String>(),
            // Letters, what goes on top of them and below, what is parted into several, and gaps, in every order.
            mixed in "[aZ9 \\-éÉßœﬁİΣςЙ東か가Å\u{301}\u{323}\u{307}\u{5b0}\u{93c}\u{94d}\u{1161}]{0,12}",
        ) {
            for text in [&whatever, &mixed] {
                prop_assert_eq!(words(text), words_by_the_tables(text));
            }
        }
    }
}
