//! Who is meant when the group says that somebody else has this instance name.

use std::time::{Duration, Instant};

/// Two processes under one name fence each other within this time, on a broker that answers: until a fence is noticed a call
/// of 4 s and 3 s of looking may pass, and until who was fenced joins again half a second and a call of 4 s; all of it
/// twice, and as much to spare.
const RIVAL_WITHIN: Duration = Duration::from_secs(60);

/// The fences of one process.
///
/// The group fences whoever has joined under a name when that name joins again. That can be another process; or this one: a
/// client that waits for a broker that stands still may ask to join twice, and the broker, when it goes on, takes the second
/// for somebody else. One fence does not tell which. So who was fenced joins once more, and is fenced again soon by nobody
/// but a rival.
///
/// Two rivals fence each other in turn, and each is fenced only by the other's next joining. So the first one to be fenced
/// twice, as a rule the older, ends while the other is in the group, and nobody fences that one any more. Both may have
/// decided meanwhile; what counts is that only the member that the group knows commits.
#[derive(Debug, Default)]
pub(super) struct Fences {
    last: Option<Instant>,
}

impl Fences {
    /// Whether this fence is a rival's.
    pub(super) fn is_by_rival(&mut self, now: Instant) -> bool {
        let last = self.last.replace(now);
        last.is_some_and(|last| now.duration_since(last) < RIVAL_WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(9);

    #[test]
    fn a_fence_alone_is_no_rival_and_a_second_one_soon_is() {
        let mut fences = Fences::default();
        let first = Instant::now();
        assert!(!fences.is_by_rival(first));
        assert!(!fences.is_by_rival(first + RIVAL_WITHIN));
        assert!(fences.is_by_rival(first + 2 * RIVAL_WITHIN - STEP));
    }

    /// Both join again after each fence. Who ends, after how many joinings, and when it is over.
    fn fight(mut rivals: [Fences; 2], began: Instant) -> (usize, usize, Duration) {
        let mut now = began;
        for joinings in 1.. {
            now += STEP;
            // The newer one, of number 1, joins first.
            let fenced = (joinings + 1) % 2;
            if rivals[fenced].is_by_rival(now) {
                return (fenced, joinings, now - began);
            }
        }
        unreachable!()
    }

    #[test]
    fn of_two_rivals_one_ends_and_the_other_stays() {
        let began = Instant::now();
        let (ended, joinings, took) = fight(Default::default(), began);
        assert_eq!((ended, joinings), (0, 3), "the older one");
        assert!(took < RIVAL_WITHIN);

        // The newer one has just been fenced by its own joining.
        let mut by_itself = Fences::default();
        by_itself.is_by_rival(began);
        let (ended, joinings, _) = fight([Fences::default(), by_itself], began);
        assert_eq!((ended, joinings), (1, 2));
    }
}
