//! Which key signs and which keys are published, at any moment.
//!
//! Each key has the time from which it signs; it signs until the next one does. There is nothing else to say about a
//! key, so there is no state that two instances could disagree about.

use std::time::Duration;

use platform::clock::Timestamp;

/// How long an access token is good.
pub const ACCESS_TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How long a key is published after its successor took over: as long as its tokens are good, and a little for clocks
/// that differ.
pub const PUBLISHED_AFTERWARDS: Duration = Duration::from_secs(20 * 60);

/// How often an instance looks for keys that another one made.
pub const RELOAD_EVERY: Duration = Duration::from_secs(10);
/// How long a key is published before it signs. An instance may see it [`RELOAD_EVERY`] late, and the gateway and the
/// services keep what they fetched for 60 s (`cache_duration` in the gateway's configuration, the refresh of
/// `platform::auth`); the rest is for a fetch that fails once and for clocks that differ.
pub const PUBLISHED_BEFORE: Duration = Duration::from_secs(2 * 60);

/// Keys in the order in which they take over.
#[derive(Debug)]
pub struct KeyRing<K> {
    first: K,
    /// With the time from which each signs, ascending.
    later: Vec<(Timestamp, K)>,
}

impl<K> KeyRing<K> {
    /// A ring of at least one key. The first signs from the beginning of time: else an instance whose clock is late
    /// could sign with nothing.
    pub fn new(first: K, mut later: Vec<(Timestamp, K)>) -> Self {
        later.sort_by_key(|(signs_from, _)| *signs_from);
        Self { first, later }
    }

    /// The key that signs at `now`.
    pub fn signer(&self, now: Timestamp) -> &K {
        let newest = self
            .later
            .iter()
            .rfind(|(signs_from, _)| *signs_from <= now);
        newest.map_or(&self.first, |(_, key)| key)
    }

    /// The keys whose signatures must be believed at `now`, and those to come: whoever keeps keys for a while must
    /// know a key before it signs.
    pub fn published(&self, now: Timestamp) -> impl Iterator<Item = &K> {
        let keys = std::iter::once(&self.first).chain(self.later.iter().map(|(_, key)| key));
        let successors = self.later.iter().map(|(signs_from, _)| Some(*signs_from));
        keys.zip(successors.chain([None]))
            .filter(move |(_, successor)| {
                successor
                    .is_none_or(|signs_from| signs_from.saturating_add(PUBLISHED_AFTERWARDS) > now)
            })
            .map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn one_key_signs_for_ever() {
        let ring = KeyRing::new("a", vec![]);
        for now in [Timestamp::MIN, at(0), Timestamp::MAX] {
            assert_eq!(ring.signer(now), &"a");
            assert_eq!(ring.published(now).collect::<Vec<_>>(), [&"a"]);
        }
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_after() {
        let ring = KeyRing::new("a", vec![(at(10_000), "b")]);
        let published = |now| ring.published(at(now)).copied().collect::<Vec<_>>();
        assert_eq!(
            (*ring.signer(at(9_999)), published(9_999)),
            ("a", vec!["a", "b"])
        );
        assert_eq!(
            (*ring.signer(at(10_000)), published(10_000)),
            ("b", vec!["a", "b"])
        );
        assert_eq!(published(10_000 + 1_199), ["a", "b"]);
        assert_eq!(published(10_000 + 1_200), ["b"]);
    }

    #[test]
    fn the_gateway_knows_a_key_before_it_signs() {
        const GATEWAY: &str = include_str!("../../../infra/gateway/envoy.yaml");
        const KEPT: &str = "cache_duration: ";
        let kept = GATEWAY.lines().find_map(|line| {
            let seconds = line.trim().strip_prefix(KEPT)?.strip_suffix('s')?;
            seconds.parse().ok()
        });
        let kept = Duration::from_secs(kept.expect("how long the gateway keeps keys"));
        assert!(kept + RELOAD_EVERY < PUBLISHED_BEFORE, "{kept:?}");
        assert!(ACCESS_TOKEN_LIFETIME < PUBLISHED_AFTERWARDS);
    }

    proptest! {
        #[test]
        fn a_token_can_be_verified_as_long_as_it_is_good(
            starts in proptest::collection::vec(0_i64..100_000, 0..6),
            signed in 0_i64..100_000,
            age in 0_u64..=ACCESS_TOKEN_LIFETIME.as_secs(),
        ) {
            let later = starts.iter().enumerate().map(|(n, start)| (at(*start), n + 1)).collect();
            let ring = KeyRing::new(0, later);
            let signer = *ring.signer(at(signed));
            let now = at(signed) + Duration::from_secs(age);
            prop_assert!(ring.published(now).any(|key| *key == signer));
            prop_assert!(ring.published(now).any(|key| key == ring.signer(now)));
        }
    }
}
