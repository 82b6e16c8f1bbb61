//! Chance that can be repeated: the same seed makes the same shoppers.

use std::time::Duration;

/// The odd fraction of the golden ratio, the step of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A SplitMix64 generator.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The chance of shopper `number`. It is his own, so that his story does not depend on who was served before him.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut mixed = Self { state: seed };
        mixed.state = mixed.next().wrapping_add(number);
        // Neighbours would otherwise walk along the same numbers, one step apart.
        mixed.state = mixed.next();
        mixed
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias of the remainder is far below one in a billion for what is asked here.
        self.next() % end
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }

    /// Some time from `shortest` on and below `longest`, to the millisecond.
    pub fn between(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let span = longest.saturating_sub(shortest).as_millis();
        let span = u64::try_from(span).unwrap_or(u64::MAX).max(1);
        shortest + Duration::from_millis(self.below(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_neighbours_differ() {
        let numbers = |seed, number| {
            let mut chance = Chance::of(seed, number);
            [chance.next(), chance.next(), chance.next()]
        };
        assert_eq!(numbers(7, 1), numbers(7, 1));
        assert_ne!(numbers(7, 1), numbers(8, 1));
        let (first, second) = (numbers(7, 1), numbers(7, 2));
        assert!(first.iter().all(|number| !second.contains(number)));
    }

    #[test]
    fn times_are_within_their_bounds() {
        let (shortest, longest) = (Duration::from_millis(100), Duration::from_millis(103));
        let mut chance = Chance::of(1, 1);
        for _ in 0..100 {
            let time = chance.between(shortest, longest);
            assert!((shortest..longest).contains(&time), "{time:?}");
        }
        assert_eq!(chance.between(shortest, shortest), shortest);
    }
}
