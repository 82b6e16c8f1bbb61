//! Sets of numbers by words, found by how the words begin.

use std::collections::{BTreeMap, HashMap};

use roaring::{MultiOps as _, RoaringBitmap};

/// The first two letters of a word; what is behind a single one is no letter.
type Start = [char; 2];

/// Behind a word of one letter. No word has it.
const NOTHING: char = '\0';

/// Which numbers have which words.
///
/// Words that begin alike lie together. Who has typed two letters asks for the union of all of them, which is there; who
/// has typed one, for a few dozen such unions; and with three or more one goes through the words that begin with the first
/// two. So no search unites the sets of hundreds of words.
#[derive(Default)]
pub(super) struct Beginnings {
    alike: BTreeMap<Start, Alike>,
}

/// Words that begin with the same two letters.
#[derive(Default)]
struct Alike {
    /// Those that have any of them.
    any: RoaringBitmap,
    words: HashMap<Box<str>, RoaringBitmap>,
}

impl Beginnings {
    /// Notes that this number has this word.
    pub(super) fn insert(&mut self, word: &str, number: u32) {
        let alike = self.alike.entry(start(word)).or_default();
        alike.any.insert(number);
        match alike.words.get_mut(word) {
            // At the end it goes without a search, and at the start of the service every number is the highest so far.
            Some(numbers) => {
                if numbers.try_push(number).is_err() {
                    numbers.insert(number);
                }
            }
            None => {
                let numbers = RoaringBitmap::from_iter([number]);
                alike.words.insert(word.into(), numbers);
            }
        }
    }

    /// Notes that this number has this word no more. All its words go together, or `any` would be wrong.
    pub(super) fn remove(&mut self, word: &str, number: u32) {
        let start = start(word);
        let Some(alike) = self.alike.get_mut(&start) else {
            return;
        };
        alike.any.remove(number);
        if let Some(numbers) = alike.words.get_mut(word) {
            numbers.remove(number);
            if numbers.is_empty() {
                alike.words.remove(word);
            }
        }
        if alike.words.is_empty() {
            self.alike.remove(&start);
        }
    }

    /// The numbers that have a word that begins so.
    pub(super) fn numbers(&self, beginning: &str) -> RoaringBitmap {
        let start = start(beginning);
        let [first, second] = start;
        if second == NOTHING {
            let all = self.alike.range(start..=[first, char::MAX]);
            return all.map(|(_, alike)| &alike.any).union();
        }
        let Some(alike) = self.alike.get(&start) else {
            return RoaringBitmap::new();
        };
        if beginning.chars().nth(2).is_none() {
            return alike.any.clone();
        }
        let words = alike.words.iter();
        words
            .filter(|(word, _)| word.starts_with(beginning))
            .map(|(_, numbers)| numbers)
            .union()
    }

    /// Whether nothing has any word.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.alike.is_empty()
    }
}

fn start(word: &str) -> Start {
    let mut letters = word.chars();
    [(); 2].map(|()| letters.next().unwrap_or(NOTHING))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever came and went, in whatever order: a search finds what a look at every word finds.
        #[test]
        fn the_numbers_are_those_whose_words_begin_so(
            changes in prop::collection::vec((0..12_u32, prop::collection::vec("[aé東]{1,4}", 0..4)), 0..60),
        ) {
            let mut beginnings = Beginnings::default();
            let mut naive: BTreeMap<u32, Vec<String>> = BTreeMap::new();
            for (number, words) in changes {
                for word in naive.remove(&number).unwrap_or_default() {
                    beginnings.remove(&word, number);
                }
                for word in &words {
                    beginnings.insert(word, number);
                }
                naive.insert(number, words);
            }
            for wanted in ["a", "é", "東", "aa", "aé", "é東", "aéa", "ééé", "東東東東", "b", "ab"] {
                let having = naive.iter().filter(|(_, words)| words.iter().any(|word| word.starts_with(wanted)));
                let expected: BTreeSet<u32> = having.map(|(number, _)| *number).collect();
                let found: BTreeSet<u32> = beginnings.numbers(wanted).iter().collect();
                prop_assert_eq!(found, expected);
            }
            for (number, words) in naive {
                words.iter().for_each(|word| beginnings.remove(word, number));
            }
            prop_assert!(beginnings.is_empty(), "nothing is kept of what is gone");
        }
    }
}
