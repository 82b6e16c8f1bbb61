//! Sets of numbers by words, found by how the words begin.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};

use roaring::{MultiOps as _, RoaringBitmap};

/// The first letters of a word; what is behind the end of a shorter one is no letter.
type Start<const LETTERS: usize> = [char; LETTERS];

/// Behind the end of a short word. No word has it.
const NOTHING: char = '\0';

/// Which numbers have which words.
///
/// Words that begin with the same two letters have their union, and those that begin with the same three as well. So who
/// has typed two letters or three asks for a set that is there; who has typed one, for a few dozen unions; and with more one
/// unites the sets of the words that begin so, which are few by then. Each level takes up less than the words themselves.
#[derive(Default)]
pub(super) struct Beginnings {
    /// Those that have any of the words that begin with these two letters.
    pairs: BTreeMap<Start<2>, RoaringBitmap>,
    alike: BTreeMap<Start<3>, Alike>,
    /// There are no unions yet.
    is_filling: bool,
}

/// Words that begin with the same three letters.
#[derive(Default)]
struct Alike {
    /// Those that have any of them.
    any: RoaringBitmap,
    /// In their order, so that those that begin alike lie together.
    words: BTreeMap<Box<str>, RoaringBitmap>,
}

impl Beginnings {
    /// Nothing is looked for until it is [`filled`](Self::filled). Two of three sets that a word has its numbers in are unions,
    /// which cost far less once all the others are there.
    pub(super) fn filling() -> Self {
        Self {
            is_filling: true,
            ..Self::default()
        }
    }

    /// From now on everything is found.
    pub(super) fn filled(&mut self) {
        if !std::mem::take(&mut self.is_filling) {
            return;
        }
        for (&[first, second, _], alike) in &mut self.alike {
            alike.any = alike.words.values().union();
            *self.pairs.entry([first, second]).or_default() |= &alike.any;
        }
    }

    /// Notes that this number has this word.
    pub(super) fn insert(&mut self, word: &str, number: u32) {
        let alike = self.alike.entry(start(word)).or_default();
        if !self.is_filling {
            // Of sets that have most numbers anything but this costs more: to see what is the highest, for one.
            self.pairs.entry(start(word)).or_default().insert(number);
            alike.any.insert(number);
        }
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

    /// Notes that this number has this word no more. All its words go together, or the unions would be wrong.
    pub(super) fn remove(&mut self, word: &str, number: u32) {
        let (pair, three) = (start(word), start(word));
        if let Some(numbers) = self.pairs.get_mut(&pair) {
            numbers.remove(number);
            if numbers.is_empty() {
                self.pairs.remove(&pair);
            }
        }
        let Some(alike) = self.alike.get_mut(&three) else {
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
            self.alike.remove(&three);
        }
    }

    /// The numbers that have a word that begins so.
    pub(super) fn numbers(&self, beginning: &str) -> Cow<'_, RoaringBitmap> {
        debug_assert!(!self.is_filling, "who is filling it does not search");
        let [first, second, third] = start(beginning);
        if second == NOTHING {
            let all = self.pairs.range([first, NOTHING]..=[first, char::MAX]);
            return Cow::Owned(all.map(|(_, numbers)| numbers).union());
        }
        if third == NOTHING {
            return known(self.pairs.get(&[first, second]));
        }
        let alike = self.alike.get(&[first, second, third]);
        if beginning.chars().nth(3).is_none() {
            return known(alike.map(|alike| &alike.any));
        }
        let words = alike.into_iter().flat_map(|alike| {
            let from = (Included(beginning), Unbounded);
            alike.words.range::<str, _>(from)
        });
        let mut found = words
            .take_while(|(word, _)| word.starts_with(beginning))
            .map(|(_, numbers)| numbers);
        match (found.next(), found.next()) {
            // Most words that are typed to their end.
            (only, None) => known(only),
            (first, second) => Cow::Owned(first.into_iter().chain(second).chain(found).union()),
        }
    }

    /// Whether nothing has any word.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.alike.is_empty() && self.pairs.is_empty()
    }
}

/// The set, none for none.
fn known(numbers: Option<&RoaringBitmap>) -> Cow<'_, RoaringBitmap> {
    numbers.map_or_else(Cow::default, Cow::Borrowed)
}

fn start<const LETTERS: usize>(word: &str) -> Start<LETTERS> {
    let mut letters = word.chars();
    [(); LETTERS].map(|()| letters.next().unwrap_or(NOTHING))
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
            changes in prop::collection::vec((0..12_u32, prop::collection::vec("[aé東]{1,5}", 0..4)), 0..60),
            filled_after in 0..60_usize,
        ) {
            let mut beginnings = Beginnings::filling();
            let mut naive: BTreeMap<u32, Vec<String>> = BTreeMap::new();
            for (n, (number, words)) in changes.into_iter().enumerate() {
                if n == filled_after {
                    beginnings.filled();
                }
                for word in naive.remove(&number).unwrap_or_default() {
                    beginnings.remove(&word, number);
                }
                for word in &words {
                    beginnings.insert(word, number);
                }
                naive.insert(number, words);
            }
            if beginnings.is_filling {
                beginnings.filled();
            }
            for wanted in ["a", "é", "東", "aa", "aé", "é東", "aéa", "ééé", "aéaé", "東東東東", "aaaaa", "b", "ab", "aab", "aaab"] {
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
