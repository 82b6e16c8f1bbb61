//! The records of one partition: which may be handled now, and up to where all are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{AbortHandle, AbortRegistration};
use rdkafka::message::{Message as _, OwnedMessage};

/// A lane with this many waiting records is paused …
const WAITING_HIGH: usize = 200;
/// … and resumed when it is down to this many.
const WAITING_LOW: usize = 50;
/// Records that may be done behind one that is not. After a crash they come again, and each is a look that finds it
/// done; and one record that takes its time does not grow what is remembered here without end.
const AHEAD_AT_MOST: usize = 1_000;

/// A partition as long as it is ours.
pub(super) struct Lane {
    at_once: usize,
    waiting: VecDeque<OwnedMessage>,
    /// By offset.
    in_hand: BTreeMap<i64, InHand>,
    /// Offsets that are done, behind one in hand.
    ahead: BTreeSet<i64>,
    paused: bool,
}

struct InHand {
    key: Vec<u8>,
    /// It is tried again.
    retries: Arc<AtomicBool>,
    abort: AbortHandle,
}

/// A record that is to be handled now.
pub(super) struct Begun {
    pub(super) message: OwnedMessage,
    /// To be set before it is tried again: no record is begun as long as one in hand fares no better.
    pub(super) retries: Arc<AtomicBool>,
    /// Ends the work when the partition is taken away.
    pub(super) abort: AbortRegistration,
}

impl Lane {
    /// Has `at_once` records in hand at most; it is at least 1.
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            at_once,
            waiting: VecDeque::new(),
            in_hand: BTreeMap::new(),
            ahead: BTreeSet::new(),
            paused: false,
        }
    }

    /// The next record of the partition has come.
    pub(super) fn push(&mut self, message: OwnedMessage) {
        self.waiting.push_back(message);
    }

    /// The next record, if it may be handled now. They begin in the order of the partition, one of a key when the one
    /// before is done; records without a key are of one key.
    pub(super) fn begin(&mut self) -> Option<Begun> {
        let next = self.waiting.front()?;
        let key = next.key().unwrap_or_default();
        let holds_up = |other: &InHand| other.key == key || other.retries.load(Ordering::Relaxed);
        if self.in_hand.len() >= self.at_once
            || self.ahead.len() >= AHEAD_AT_MOST
            || self.in_hand.values().any(holds_up)
        {
            return None;
        }
        let message = self.waiting.pop_front()?;
        let (handle, registration) = AbortHandle::new_pair();
        let retries = Arc::new(AtomicBool::new(false));
        let in_hand = InHand {
            key: message.key().unwrap_or_default().to_vec(),
            retries: Arc::clone(&retries),
            abort: handle,
        };
        self.in_hand.insert(message.offset(), in_hand);
        Some(Begun {
            message,
            retries,
            abort: registration,
        })
    }

    /// Notes that a record is done. Returns the last offset up to which all are, when it has moved.
    pub(super) fn end(&mut self, offset: i64) -> Option<i64> {
        self.in_hand.remove(&offset);
        self.ahead.insert(offset);
        // Whatever waits is behind everything in hand.
        let ahead = match self.in_hand.first_key_value() {
            Some((first, _)) => self.ahead.split_off(first),
            None => BTreeSet::new(),
        };
        std::mem::replace(&mut self.ahead, ahead).pop_last()
    }

    /// Whether to pause or to resume the partition, when that has changed.
    pub(super) fn pause(&mut self) -> Option<bool> {
        let wanted = match self.waiting.len() {
            n if n >= WAITING_HIGH => true,
            n if n <= WAITING_LOW => false,
            _ => self.paused,
        };
        let changed = wanted != self.paused;
        self.paused = wanted;
        changed.then_some(wanted)
    }

    /// The partition is no longer ours: who has it now handles again what is not done. Returns whether it is paused.
    pub(super) fn leave(self) -> bool {
        for record in self.in_hand.values() {
            record.abort.abort();
        }
        self.paused
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::{Abortable, Aborted, pending};
    use proptest::prelude::*;
    use rdkafka::message::Timestamp;

    use super::*;

    fn record(offset: i64, key: Option<u8>) -> OwnedMessage {
        let key = key.map(|key| vec![key]);
        let time = Timestamp::NotAvailable;
        OwnedMessage::new(None, key, "topic".into(), time, 0, offset, None)
    }

    /// A lane into which records of keys of their own, from offset 0 on, were put.
    fn lane_of(count: u8, at_once: usize) -> Lane {
        let mut lane = Lane::new(at_once);
        for key in 0..count {
            lane.push(record(key.into(), Some(key)));
        }
        lane
    }

    fn begin_all(lane: &mut Lane) -> Vec<i64> {
        let begun = std::iter::from_fn(|| lane.begin());
        begun.map(|begun| begun.message.offset()).collect()
    }

    #[test]
    fn what_is_stored_waits_for_the_first_that_is_not_done() {
        let mut lane = lane_of(5, 4);
        assert_eq!(begin_all(&mut lane), [0, 1, 2, 3]);
        assert_eq!((lane.end(2), lane.end(1)), (None, None));
        assert_eq!(begin_all(&mut lane), [4]);
        assert_eq!(lane.end(0), Some(2));
        assert_eq!((lane.end(4), lane.end(3)), (None, Some(4)));
    }

    #[test]
    fn one_at_a_time_is_the_order_of_the_partition() {
        let mut lane = lane_of(3, 1);
        for offset in 0..3 {
            assert_eq!(begin_all(&mut lane), [offset]);
            assert_eq!(lane.end(offset), Some(offset));
        }
    }

    #[test]
    fn records_of_a_key_take_turns_and_those_without_are_of_one() {
        for key in [Some(7), None] {
            let mut lane = Lane::new(4);
            for offset in 0..2 {
                lane.push(record(offset, key));
            }
            lane.push(record(2, Some(1)));
            assert_eq!(begin_all(&mut lane), [0]);
            assert_eq!(lane.end(0), Some(0));
            assert_eq!(begin_all(&mut lane), [1, 2]);
        }
    }

    #[test]
    fn none_is_begun_while_one_is_tried_again() {
        let mut lane = lane_of(4, 3);
        let first = lane.begin().expect("a record");
        assert_eq!(lane.begin().map(|begun| begun.message.offset()), Some(1));
        first.retries.store(true, Ordering::Relaxed);
        assert_eq!(begin_all(&mut lane), [] as [i64; 0]);
        assert_eq!(lane.end(1), None);
        assert_eq!(begin_all(&mut lane), [] as [i64; 0]);
        assert_eq!(lane.end(0), Some(1));
        assert_eq!(begin_all(&mut lane), [2, 3]);
    }

    #[test]
    fn one_that_takes_its_time_is_not_left_behind_without_end() {
        let mut lane = Lane::new(2);
        lane.push(record(0, Some(0)));
        let begun = lane.begin().expect("a record");
        let mut ended = 0;
        for offset in 1.. {
            lane.push(record(offset, Some(1)));
            let Some(next) = lane.begin() else { break };
            assert_eq!(lane.end(next.message.offset()), None);
            ended += 1;
        }
        assert_eq!(ended, AHEAD_AT_MOST);
        let last = i64::try_from(ended).expect("a small number");
        assert_eq!(lane.end(begun.message.offset()), Some(last));
        assert_eq!(begin_all(&mut lane), [last + 1]);
    }

    #[test]
    fn a_partition_is_paused_and_resumed_once() {
        let mut lane = Lane::new(1);
        let mut told = Vec::new();
        let mut tell = |lane: &mut Lane| {
            told.extend(lane.pause().map(|paused| (lane.waiting.len(), paused)));
        };
        for offset in 0..300 {
            lane.push(record(offset, None));
            tell(&mut lane);
        }
        while let Some(begun) = lane.begin() {
            lane.end(begun.message.offset());
            tell(&mut lane);
        }
        assert_eq!(told, [(WAITING_HIGH, true), (WAITING_LOW, false)]);
    }

    #[test]
    fn work_on_a_partition_that_is_left_ends() {
        let mut lane = lane_of(3, 2);
        let begun = [lane.begin(), lane.begin()].map(|begun| begun.expect("a record"));
        assert!(!lane.leave());
        for begun in begun {
            let work = Abortable::new(pending::<()>(), begun.abort);
            assert_eq!(work.now_or_never(), Some(Err(Aborted)));
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// A record comes, so far behind the one before, with this key.
        Come(i64, Option<u8>),
        /// The next one begins, if it may.
        Begin,
        /// One in hand is to be tried again.
        Fail(prop::sample::Index),
        /// One in hand is done.
        End(prop::sample::Index),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (1..4_i64, prop::option::weighted(0.9, 0..6_u8))
                .prop_map(|(gap, key)| Step::Come(gap, key)),
            3 => Just(Step::Begin),
            1 => any::<prop::sample::Index>().prop_map(Step::Fail),
            3 => any::<prop::sample::Index>().prop_map(Step::End),
        ]
    }

    /// What has happened to the records of a lane.
    #[derive(Default)]
    struct Seen {
        /// Offset and key.
        came: Vec<(i64, Option<u8>)>,
        begun: Vec<Begun>,
        done: BTreeSet<i64>,
        stored: Option<i64>,
    }

    impl Seen {
        fn begin(&mut self, lane: &mut Lane, at_once: usize) -> Result<bool, TestCaseError> {
            let Some(begun) = lane.begin() else {
                return Ok(false);
            };
            let nth = self.begun.len() + self.done.len();
            prop_assert_eq!(begun.message.offset(), self.came[nth].0, "in their order");
            for other in &self.begun {
                prop_assert!(other.message.key() != begun.message.key(), "one of a key");
                prop_assert!(
                    !other.retries.load(Ordering::Relaxed),
                    "one fares no better"
                );
            }
            self.begun.push(begun);
            prop_assert!(self.begun.len() <= at_once);
            Ok(true)
        }

        fn end(&mut self, lane: &mut Lane, one: &prop::sample::Index) -> Result<(), TestCaseError> {
            let ended = self.begun.swap_remove(one.index(self.begun.len()));
            let offset = ended.message.offset();
            self.done.insert(offset);
            let moved = lane.end(offset);
            prop_assert!(moved.is_none() || moved > self.stored, "it goes on");
            self.stored = moved.or(self.stored);
            // What a crash now would skip, and what it would have handled again.
            let until_first_undone = self.came.iter().map(|(offset, _)| *offset);
            let until_first_undone = until_first_undone.take_while(|one| self.done.contains(one));
            prop_assert_eq!(self.stored, until_first_undone.last());
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn nothing_undone_is_ever_stored_and_all_is_stored_in_the_end(
            at_once in 1..6_usize,
            steps in prop::collection::vec(step(), 0..200),
            rest in any::<prop::sample::Index>(),
        ) {
            let mut lane = Lane::new(at_once);
            let mut seen = Seen::default();
            for step in steps {
                match step {
                    Step::Come(gap, key) => {
                        let last = seen.came.last().map_or(-1, |(offset, _)| *offset);
                        seen.came.push((last + gap, key));
                        lane.push(record(last + gap, key));
                    }
                    Step::Begin => {
                        seen.begin(&mut lane, at_once)?;
                    }
                    Step::Fail(_) | Step::End(_) if seen.begun.is_empty() => {}
                    Step::Fail(one) => {
                        let one = &seen.begun[one.index(seen.begun.len())];
                        one.retries.store(true, Ordering::Relaxed);
                    }
                    Step::End(one) => seen.end(&mut lane, &one)?,
                }
            }
            loop {
                while seen.begin(&mut lane, at_once)? {}
                if seen.begun.is_empty() {
                    break;
                }
                seen.end(&mut lane, &rest)?;
            }
            prop_assert_eq!(seen.done.len(), seen.came.len());
            prop_assert_eq!(seen.stored, seen.came.last().map(|(offset, _)| *offset));
        }
    }
}
