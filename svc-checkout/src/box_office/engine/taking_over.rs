//! Partitions on their way to this member: a thread reads them, and they are assigned as they are ready.
//!
//! The group waits for the answer to a share, and nobody else's share can change meanwhile. So the answer has what needs no
//! more than the state and a short tail of rows, be it nothing; what needs more is added to the assignment later.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use platform::clock::Timestamp;
use platform::kafka::partition_of;
use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::incarnation::{Exit, Incarnation, rebuild};
use super::stopped::Stopped;
use super::transaction::{self, Failure, Writes};
use crate::box_office::partition::Partition;
use crate::box_office::takeover::{TakenOver, Takeover, TakeoverError};

/// What was answered for is claimed again after this time: the group has moved by then, as a rule.
const CLAIM_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// What is late and met an error is read again after this time.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A thread that reads partitions. Dropping it gives it up.
struct Reader {
    told: Receiver<Result<TakenOver, TakeoverError>>,
    _given_up: DropGuard,
}

/// A takeover on its way.
pub(super) struct Pending {
    reader: Reader,
    /// What it is for, less what is adopted or stopped, and what the group took back meanwhile.
    wanted: BTreeSet<i32>,
    /// Rebuilt, and not claimed yet.
    ready: HashMap<i32, Partition>,
    /// The group waits for the answer.
    unanswered: bool,
    /// Not before: the broker has refused the claim because the group moves.
    claim_at: Option<Instant>,
    /// The reader has ended, and left some: another one begins then.
    read_at: Option<Instant>,
}

impl Pending {
    fn give_up(&mut self, id: i32) {
        self.wanted.remove(&id);
        self.ready.remove(&id);
    }

    /// What is still to be read.
    fn missing(&self) -> Vec<i32> {
        let missing = self.wanted.iter().filter(|id| !self.ready.contains_key(id));
        missing.copied().collect()
    }

    /// Takes what the thread has told since, and whether it has told anything. Before the share is answered no more than
    /// the answer: an error that comes after it concerns only what is late.
    fn hear(&mut self, stopped: &mut Stopped) -> Result<bool, Exit> {
        let mut heard = false;
        while self.read_at.is_none() && !(heard && self.unanswered) {
            let taken = match self.reader.told.try_recv() {
                Ok(Ok(taken)) => taken,
                Ok(Err(error)) => {
                    self.failed(error.to_string())?;
                    break;
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) if self.missing().is_empty() => break,
                Err(TryRecvError::Disconnected) => {
                    self.failed("the takeover panicked".into())?;
                    break;
                }
            };
            heard = true;
            for (id, partition) in taken {
                if !self.wanted.contains(&id) {
                    continue;
                }
                match partition {
                    Ok(partition) => drop(self.ready.insert(id, partition)),
                    Err(damage) => {
                        self.wanted.remove(&id);
                        stopped.add(id, &damage);
                    }
                }
            }
        }
        Ok(heard)
    }

    /// Without an answer nothing goes on; what is late can wait, and the others sell meanwhile.
    fn failed(&mut self, reason: String) -> Result<(), Exit> {
        if self.unanswered {
            return Err(Exit::Rebuild(reason));
        }
        tracing::error!(partitions = ?self.missing(), reason, "to be taken over again");
        self.read_at = Some(Instant::now() + READ_AGAIN_AFTER);
        Ok(())
    }
}

impl Incarnation<'_> {
    /// Whether the group waits for this member to say that it has its share.
    pub(super) fn owes_an_answer(&self) -> bool {
        self.takeovers.iter().any(|pending| pending.unanswered)
    }

    /// The group has taken these back.
    pub(super) fn give_takeovers_up(&mut self, partitions: &[i32]) {
        for pending in &mut self.takeovers {
            partitions.iter().for_each(|id| pending.give_up(*id));
        }
        self.takeovers.retain(|pending| !pending.wanted.is_empty());
    }

    /// Reads the state of new partitions on a thread; they are assigned when it is known.
    pub(super) fn start_takeover(&mut self, partitions: &[i32]) -> Result<(), Exit> {
        self.takeovers.push(Pending {
            reader: self.read_states(partitions.to_vec())?,
            wanted: partitions.iter().copied().collect(),
            ready: HashMap::new(),
            unanswered: true,
            claim_at: None,
            read_at: None,
        });
        Ok(())
    }

    fn read_states(&self, partitions: Vec<i32>) -> Result<Reader, Exit> {
        let given_up = CancellationToken::new();
        let takeover = Takeover {
            config: self.engine.config.clone(),
            registry: self.engine.shared.registry.clone(),
            projection: Arc::clone(&self.engine.projection),
            runtime: self.engine.runtime.clone(),
            readers: Arc::clone(&self.engine.readers),
            partitions,
            owner: self.owner.clone(),
            given_up: given_up.clone(),
        };
        let (tell, told) = channel();
        std::thread::Builder::new()
            .name("takeover".into())
            .spawn(move || {
                // A receiver that has gone: this incarnation ended meanwhile, or wants none of it any more.
                if let Err(error) = takeover.run(|taken| drop(tell.send(Ok(taken)))) {
                    drop(tell.send(Err(error)));
                }
            })
            .map_err(|error| Exit::Rebuild(format!("takeover thread: {error}")))?;
        Ok(Reader {
            told,
            _given_up: given_up.drop_guard(),
        })
    }

    pub(super) fn finish_takeovers(&mut self) -> Result<(), Exit> {
        let owes_an_answer = self.owes_an_answer();
        let mut takeovers = std::mem::take(&mut self.takeovers);
        for pending in &mut takeovers {
            // To assign what is late would answer for a share that is still being read. And what the group says comes
            // first: it may take back what would be assigned here.
            let waits = owes_an_answer || self.consumer.context().has_events();
            if pending.unanswered || !waits {
                self.finish_takeover(pending)?;
            }
        }
        takeovers.retain(|pending| !pending.wanted.is_empty());
        let late = takeovers.iter().filter(|pending| !pending.unanswered);
        tell_late(late.map(|pending| pending.wanted.len()).sum());
        self.takeovers = takeovers;
        Ok(())
    }

    fn finish_takeover(&mut self, pending: &mut Pending) -> Result<(), Exit> {
        let now = Instant::now();
        if pending.read_at.take_if(|at| *at <= now).is_some() {
            pending.reader = self.read_states(pending.missing())?;
        }
        let heard = pending.hear(&mut self.stopped)?;
        let answers = heard && pending.unanswered;
        let must_wait = pending.claim_at.is_some_and(|at| now < at);
        if !answers && (pending.ready.is_empty() || must_wait) || !self.claim(pending)? {
            return Ok(());
        }
        let ready = std::mem::take(&mut pending.ready);
        let mut list = TopicPartitionList::new();
        for (id, partition) in &ready {
            // With its offset: a seek right after assign failed, and offset 0 was delivered.
            list.add_partition_offset(
                topics::CHECKOUT_COMMANDS.name,
                *id,
                Offset::Offset(partition.position),
            )
            .map_err(|error| rebuild("assign", &error))?;
        }
        // Also of nothing, where all is damaged or late: the client follows no other rebalance before.
        self.consumer
            .incremental_assign(&list)
            .map_err(|error| rebuild("assign", &error))?;
        for (id, partition) in ready {
            pending.wanted.remove(&id);
            self.adopt(id, partition);
        }
        if answers {
            pending.unanswered = false;
            self.engine.joined.store(true, Ordering::SeqCst);
            self.ask_anew()?;
        }
        Ok(())
    }

    /// The first transaction of a new owner: its name and the position. The generation check
    /// refuses it when the partitions have moved on. False: the group moves, and it is tried again.
    fn claim(&self, pending: &mut Pending) -> Result<bool, Exit> {
        if pending.ready.is_empty() {
            return Ok(true);
        }
        let group = self.group()?;
        let clock = Timestamp::now();
        let writes: BTreeMap<i32, Writes> = pending
            .ready
            .iter()
            .map(|(&id, partition)| {
                let position = partition.position;
                let now = partition.now(clock);
                let outputs = vec![self.engine.changelog.position(&self.owner, position, now)];
                (id, Writes { outputs, position })
            })
            .collect();
        let refused = match transaction::commit(&self.producer, Some(&group), &writes) {
            Ok(_) => {
                pending.claim_at = None;
                return Ok(true);
            }
            Err(Failure::Fenced) => return Err(self.fenced()),
            Err(Failure::Rebuild(reason)) => return Err(Exit::Rebuild(format!("claim: {reason}"))),
            Err(Failure::Abort(reason)) => reason,
        };
        if pending.unanswered {
            return Err(Exit::Rebuild(format!("claim: {refused}")));
        }
        // The rest of a share that was answered meets the rebalances that the answer let go. However long: nobody waits
        // for it, and who is out of the group altogether is told otherwise.
        tracing::info!(refused, "claimed again soon");
        pending.claim_at = Some(Instant::now() + CLAIM_AGAIN_AFTER);
        transaction::abort(&self.producer).map_err(|error| rebuild("abort", &error))?;
        Ok(false)
    }

    fn adopt(&mut self, id: i32, partition: Partition) {
        let partitions = self.engine.config.event_partitions;
        let known = self
            .engine
            .shared
            .inventory
            .all(|event_id| partition_of(event_id, partitions) == id);
        self.inventory.insert(id, known);
        self.stopped.remove(id);
        let books = &partition.books;
        let shared = &self.engine.shared;
        shared.worklist.adopt(id, books, partition.last_time);
        shared.memory.update(id, books.events());
        self.partitions.insert(id, partition);
    }
}

/// How many partitions the group has given to this member that nothing is sold of yet, other than those of a share that
/// is not answered.
pub(super) fn tell_late(partitions: usize) {
    metrics::gauge!("checkout_partitions_late").set(partitions as f64);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use super::*;
    use crate::box_office::takeover::Damage;

    type Tell = Sender<Result<TakenOver, TakeoverError>>;

    /// A share of the partitions 1 to 3, and who tells of it.
    fn share() -> (Tell, Pending) {
        let (tell, told) = channel();
        let reader = Reader {
            told,
            _given_up: CancellationToken::new().drop_guard(),
        };
        let pending = Pending {
            reader,
            wanted: BTreeSet::from([1, 2, 3]),
            ready: HashMap::new(),
            unanswered: true,
            claim_at: None,
            read_at: None,
        };
        (tell, pending)
    }

    fn whole(ids: &[i32]) -> Result<TakenOver, TakeoverError> {
        let whole = ids.iter().map(|id| (*id, Ok(Partition::default())));
        Ok(whole.collect())
    }

    #[test]
    fn without_an_answer_an_error_begins_everything_anew() {
        let mut stopped = Stopped::default();
        let (tell, mut pending) = share();
        assert!(matches!(pending.hear(&mut stopped), Ok(false)));
        tell.send(Err(TakeoverError::TooSlow)).unwrap();
        assert!(matches!(pending.hear(&mut stopped), Err(Exit::Rebuild(_))));
        let (tell, mut pending) = share();
        drop(tell);
        let panicked = pending.hear(&mut stopped);
        assert!(matches!(panicked, Err(Exit::Rebuild(_))));
    }

    #[test]
    fn what_is_late_is_read_again_and_nothing_else() {
        let mut stopped = Stopped::default();
        let (tell, mut pending) = share();
        tell.send(whole(&[1])).unwrap();
        tell.send(Err(TakeoverError::TooSlow)).unwrap();
        assert!(matches!(pending.hear(&mut stopped), Ok(true)));
        assert_eq!(pending.read_at, None, "the answer comes first");
        pending.unanswered = false;
        assert!(matches!(pending.hear(&mut stopped), Ok(false)));
        assert_eq!(pending.missing(), [2, 3]);
        assert!(pending.read_at.is_some());
    }

    #[test]
    fn a_reader_that_ends_when_all_is_told_has_not_failed() {
        let mut stopped = Stopped::default();
        let (tell, mut pending) = share();
        pending.unanswered = false;
        tell.send(whole(&[])).unwrap();
        tell.send(whole(&[1, 2])).unwrap();
        tell.send(Ok(HashMap::from([(3, Err(Damage::Panicked("test")))])))
            .unwrap();
        drop(tell);
        assert!(matches!(pending.hear(&mut stopped), Ok(true)));
        assert_eq!(pending.read_at, None);
        assert_eq!(pending.wanted, BTreeSet::from([1, 2]));
        assert!(stopped.remove(3));
    }

    #[test]
    fn what_the_group_took_back_is_not_heard_of() {
        let mut stopped = Stopped::default();
        let (tell, mut pending) = share();
        tell.send(whole(&[1, 2])).unwrap();
        pending.give_up(2);
        pending.give_up(3);
        assert!(matches!(pending.hear(&mut stopped), Ok(true)));
        assert!(pending.ready.keys().eq(&[1]));
        assert!(pending.missing().is_empty());
    }
}
