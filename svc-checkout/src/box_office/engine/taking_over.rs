//! Partitions on their way to this member: a thread reads them, and they are assigned as they are ready.
//!
//! The group waits for the answer to a share, and nobody else's share can change meanwhile. So the answer has what needs no
//! more than the state and a short tail of rows, be it nothing; what needs more is added to the assignment later.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::Instant;

use platform::clock::Timestamp;
use platform::kafka::partition_of;
use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::commit::ABORTS_FOR;
use super::incarnation::{Exit, Incarnation, rebuild};
use super::stopped::Stopped;
use super::transaction::{self, Failure, Writes};
use crate::box_office::partition::Partition;
use crate::box_office::takeover::{TakenOver, Takeover, TakeoverError};

/// A takeover on its way. Dropping it gives it up.
pub(super) struct Pending {
    told: Receiver<Result<TakenOver, TakeoverError>>,
    /// What it is for, less what is adopted or stopped, and what the group took back meanwhile.
    wanted: BTreeSet<i32>,
    /// Rebuilt, and not claimed yet.
    ready: HashMap<i32, Partition>,
    /// The group waits for the answer.
    unanswered: bool,
    /// Since when the broker refuses the claim because the group moves.
    refused_since: Option<Instant>,
    _given_up: DropGuard,
}

impl Pending {
    fn give_up(&mut self, id: i32) {
        self.wanted.remove(&id);
        self.ready.remove(&id);
    }

    /// Takes what the thread has told since, and whether it has told anything.
    fn hear(&mut self, stopped: &mut Stopped) -> Result<bool, Exit> {
        let mut heard = false;
        loop {
            let taken = match self.told.try_recv() {
                Ok(taken) => taken.map_err(|error| Exit::Rebuild(error.to_string()))?,
                Err(TryRecvError::Empty) => return Ok(heard),
                Err(TryRecvError::Disconnected) if self.wanted.len() == self.ready.len() => {
                    return Ok(heard);
                }
                Err(TryRecvError::Disconnected) => {
                    return Err(Exit::Rebuild("the takeover panicked".into()));
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
        let given_up = CancellationToken::new();
        let takeover = Takeover {
            config: self.engine.config.clone(),
            registry: self.engine.shared.registry.clone(),
            projection: Arc::clone(&self.engine.projection),
            runtime: self.engine.runtime.clone(),
            partitions: partitions.to_vec(),
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
        self.takeovers.push(Pending {
            told,
            wanted: partitions.iter().copied().collect(),
            ready: HashMap::new(),
            unanswered: true,
            refused_since: None,
            _given_up: given_up.drop_guard(),
        });
        Ok(())
    }

    pub(super) fn finish_takeovers(&mut self) -> Result<(), Exit> {
        let mut takeovers = std::mem::take(&mut self.takeovers);
        for pending in &mut takeovers {
            self.finish_takeover(pending)?;
        }
        takeovers.retain(|pending| !pending.wanted.is_empty());
        self.takeovers = takeovers;
        Ok(())
    }

    fn finish_takeover(&mut self, pending: &mut Pending) -> Result<(), Exit> {
        // What the group says comes first: it may take back what would be assigned here.
        if !pending.unanswered && self.consumer.context().has_events() {
            return Ok(());
        }
        let heard = pending.hear(&mut self.stopped)?;
        let answers = heard && pending.unanswered;
        if !answers && pending.ready.is_empty() || !self.claim(pending)? {
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
                pending.refused_since = None;
                return Ok(true);
            }
            Err(Failure::Fenced) => return Err(self.fenced()),
            Err(Failure::Rebuild(reason)) => return Err(Exit::Rebuild(format!("claim: {reason}"))),
            Err(Failure::Abort(reason)) => reason,
        };
        let since = *pending.refused_since.get_or_insert_with(Instant::now);
        if pending.unanswered || since.elapsed() > ABORTS_FOR {
            return Err(Exit::Rebuild(format!("claim: {refused}")));
        }
        // The rest of a share that was answered meets the rebalances that the answer let go.
        tracing::info!(refused, "claimed again soon");
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
