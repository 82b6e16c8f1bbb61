//! What the group says: shares that come and go, and leaving it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{TryRecvError, channel};
use std::time::{Duration, Instant};

use platform::clock::Timestamp;
use platform::kafka::partition_of;
use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics;

use super::batch::Incoming;
use super::incarnation::{Exit, Incarnation, rebuild};
use super::transaction::{self, Failure, Writes};
use crate::box_office::kafka::RebalanceEvent;
use crate::box_office::partition::Partition;
use crate::box_office::takeover::Takeover;

/// A hand-over that takes longer is left to the session's time-out.
const HAND_OVER_FOR: Duration = Duration::from_secs(1);

impl Incarnation<'_> {
    /// Says goodbye in order: finish, write that nobody owns the partitions, and stay in the
    /// group until it has moved them. (A static member that only closes keeps its partitions
    /// until its session times out.)
    pub(super) fn hand_over(&mut self) -> Result<(), Exit> {
        let until = Instant::now() + HAND_OVER_FOR;
        self.consumer
            .subscribe(&[topics::CHECKOUT_DRAIN.name])
            .map_err(|error| rebuild("subscribe to drain", &error))?;
        while !(self.drained && self.partitions.is_empty()) {
            if Instant::now() > until {
                tracing::warn!("hand-over not finished: left to the session's time-out");
                return Ok(());
            }
            self.turn()?;
        }
        tracing::info!("handed over");
        Ok(())
    }

    /// Forgets what may belong to another owner already; returns what must be handed over.
    pub(super) fn drop_lost(
        &mut self,
        events: &[RebalanceEvent],
        batch: &mut Vec<Incoming>,
    ) -> BTreeSet<i32> {
        let mut revoked = BTreeSet::new();
        for event in events {
            match event {
                RebalanceEvent::Revoked {
                    partitions,
                    lost: true,
                } => {
                    tracing::warn!(?partitions, "lost");
                    for id in partitions {
                        self.forget(*id);
                        revoked.remove(id);
                    }
                }
                RebalanceEvent::Revoked {
                    partitions,
                    lost: false,
                } => {
                    revoked.extend(partitions.iter().copied());
                }
                RebalanceEvent::Assigned { .. } => {}
            }
        }
        batch.retain(|incoming| self.partitions.contains_key(&incoming.partition));
        revoked.retain(|id| self.partitions.contains_key(id));
        revoked
    }

    pub(super) fn forget(&mut self, id: i32) {
        self.partitions.remove(&id);
        self.inventory.remove(&id);
        self.engine.shared.drop_partition(id);
    }

    /// Does what the group said, after the batch is committed.
    pub(super) fn follow(&mut self, events: &[RebalanceEvent]) -> Result<(), Exit> {
        for event in events {
            match event {
                RebalanceEvent::Revoked { partitions, .. } => {
                    let mut list = TopicPartitionList::new();
                    for id in partitions {
                        self.forget(*id);
                        list.add_partition(topics::CHECKOUT_COMMANDS.name, *id);
                    }
                    self.consumer
                        .incremental_unassign(&list)
                        .map_err(|error| rebuild("unassign", &error))?;
                    tracing::info!(?partitions, "revoked");
                }
                RebalanceEvent::Assigned { partitions, drain } if partitions.is_empty() => {
                    self.assign_nothing(*drain)?;
                }
                RebalanceEvent::Assigned { partitions, .. } => self.start_takeover(partitions)?,
            }
        }
        Ok(())
    }

    /// A share without commands: another member has them all, or this one is leaving, or …
    pub(super) fn assign_nothing(&mut self, drain: bool) -> Result<(), Exit> {
        let mut list = TopicPartitionList::new();
        if drain {
            list.add_partition_offset(topics::CHECKOUT_DRAIN.name, 0, Offset::End)
                .map_err(|error| rebuild("assign drain", &error))?;
        }
        self.consumer
            .incremental_assign(&list)
            .map_err(|error| rebuild("assign", &error))?;
        let stopping = self.engine.stop.is_cancelled();
        if drain && !stopping {
            // … the last process with this instance name was leaving a moment ago, and the group
            // gave its share to us without asking anybody. A changed subscription makes it ask.
            tracing::info!("the group still has this instance as leaving: joining anew");
            let both = [topics::CHECKOUT_COMMANDS.name, topics::CHECKOUT_DRAIN.name];
            self.consumer
                .subscribe(&both)
                .map_err(|error| rebuild("subscribe", &error))?;
            return Ok(());
        }
        self.drained = stopping;
        self.engine.joined.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Reads the state of new partitions on a thread; they are assigned when it is known.
    pub(super) fn start_takeover(&mut self, partitions: &[i32]) -> Result<(), Exit> {
        let takeover = Takeover {
            config: self.engine.config.clone(),
            registry: self.engine.shared.registry.clone(),
            projection: Arc::clone(&self.engine.projection),
            runtime: self.engine.runtime.clone(),
            partitions: partitions.to_vec(),
        };
        let (sender, receiver) = channel();
        std::thread::Builder::new()
            .name("takeover".into())
            // A receiver that has gone: this incarnation ended meanwhile.
            .spawn(move || drop(sender.send(takeover.run())))
            .map_err(|error| Exit::Rebuild(format!("takeover thread: {error}")))?;
        self.takeover = Some(receiver);
        Ok(())
    }

    pub(super) fn finish_takeover(&mut self) -> Result<(), Exit> {
        let Some(receiver) = &self.takeover else {
            return Ok(());
        };
        let taken = match receiver.try_recv() {
            Err(TryRecvError::Empty) => return Ok(()),
            Err(TryRecvError::Disconnected) => {
                return Err(Exit::Rebuild("the takeover panicked".into()));
            }
            Ok(taken) => taken.map_err(|error| Exit::Rebuild(error.to_string()))?,
        };
        self.takeover = None;
        self.claim(&taken)?;
        let mut list = TopicPartitionList::new();
        for (id, partition) in &taken {
            // With its offset: a seek right after assign failed, and offset 0 was delivered.
            list.add_partition_offset(
                topics::CHECKOUT_COMMANDS.name,
                *id,
                Offset::Offset(partition.position),
            )
            .map_err(|error| rebuild("assign", &error))?;
        }
        self.consumer
            .incremental_assign(&list)
            .map_err(|error| rebuild("assign", &error))?;
        for (id, partition) in taken {
            self.adopt(id, partition);
        }
        self.engine.joined.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// The first transaction of a new owner: its name and the position. The generation check
    /// refuses it when the partitions have moved on.
    pub(super) fn claim(&self, taken: &HashMap<i32, Partition>) -> Result<(), Exit> {
        let group = self.group()?;
        let clock = Timestamp::now();
        let writes = taken
            .iter()
            .map(|(&id, partition)| {
                let position = partition.position;
                let now = partition.now(clock);
                let outputs = vec![self.engine.changelog.position(&self.owner, position, now)];
                (id, Writes { outputs, position })
            })
            .collect();
        match transaction::commit(&self.producer, &group, &writes) {
            Ok(_) => Ok(()),
            Err(Failure::Fenced) => Err(Exit::Fenced),
            Err(Failure::Abort(reason) | Failure::Rebuild(reason)) => {
                Err(Exit::Rebuild(format!("claim: {reason}")))
            }
        }
    }

    pub(super) fn adopt(&mut self, id: i32, partition: Partition) {
        let partitions = self.engine.config.event_partitions;
        let known = self
            .engine
            .shared
            .inventory
            .all(|event_id| partition_of(event_id, partitions) == id);
        self.inventory.insert(id, known);
        let books = &partition.books;
        let shared = &self.engine.shared;
        shared.worklist.adopt(id, books, partition.last_time);
        shared.memory.update(id, books.events());
        self.partitions.insert(id, partition);
    }
}
