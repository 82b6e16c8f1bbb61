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
use tokio_util::sync::CancellationToken;

use super::batch::Incoming;
use super::incarnation::{Exit, Incarnation, Pending, rebuild};
use super::transaction::{self, Failure, Writes};
use crate::box_office::kafka::{RebalanceEvent, unassign};
use crate::box_office::partition::Partition;
use crate::box_office::takeover::{Damage, Takeover};

/// A hand-over that takes longer is left to the session's time-out.
const HAND_OVER_FOR: Duration = Duration::from_secs(1);
/// A takeover that runs is finished first, if it ends in this time: the client tells the group nothing new before the
/// last share is answered, and what was taken over is then handed over in order like everything else.
const TAKE_OVER_FIRST_FOR: Duration = Duration::from_secs(10);

impl Incarnation<'_> {
    /// Says goodbye in order: finish, write that nobody owns the partitions, and stay in the
    /// group until it has moved them. (A static member that only closes keeps its partitions
    /// until its session times out.)
    pub(super) fn hand_over(&mut self) -> Result<(), Exit> {
        let started = Instant::now();
        let mut until = started + HAND_OVER_FOR;
        // The client may have forgotten the topic, and would subscribe to nothing.
        self.consumer
            .fetch_metadata(Some(topics::CHECKOUT_DRAIN.name), HAND_OVER_FOR)
            .map_err(|error| rebuild("look for drain", &error))?;
        self.consumer
            .subscribe(&[topics::CHECKOUT_DRAIN.name])
            .map_err(|error| rebuild("subscribe to drain", &error))?;
        while !(self.drained && self.partitions.is_empty()) {
            if self.takeover.is_some() && started.elapsed() < TAKE_OVER_FIRST_FOR {
                until = Instant::now() + HAND_OVER_FOR;
            }
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
        stopped(id).set(0.0);
    }

    /// Decides nothing more in this partition, and stays its owner: whoever got it would find the same.
    pub(super) fn stop_partition(&mut self, id: i32, damage: &Damage) -> Result<(), Exit> {
        let mut list = TopicPartitionList::new();
        list.add_partition(topics::CHECKOUT_COMMANDS.name, id);
        self.consumer
            .pause(&list)
            .map_err(|error| rebuild("pause", &error))?;
        self.forget(id);
        tell_stopped(id, damage);
        Ok(())
    }

    /// Does what the group said, after the batch is committed.
    pub(super) fn follow(&mut self, events: &[RebalanceEvent]) -> Result<(), Exit> {
        for event in events {
            match event {
                RebalanceEvent::Revoked { partitions, .. } => {
                    for id in partitions {
                        self.forget(*id);
                        self.taking_over.remove(id);
                    }
                    unassign(&self.consumer, partitions)
                        .map_err(|error| rebuild("unassign", &error))?;
                    tracing::info!(?partitions, "revoked");
                }
                RebalanceEvent::Assigned { partitions } if partitions.is_empty() => {
                    self.assign_nothing()?;
                }
                RebalanceEvent::Assigned { partitions } => self.start_takeover(partitions)?,
            }
        }
        Ok(())
    }

    /// A share without commands: other members have them all, or this one is leaving.
    pub(super) fn assign_nothing(&mut self) -> Result<(), Exit> {
        self.consumer
            .incremental_assign(&TopicPartitionList::new())
            .map_err(|error| rebuild("assign", &error))?;
        self.drained = self.engine.stop.is_cancelled();
        // It may also be that the last process with this instance name had none: the next answer tells.
        if !self.ask_anew()? {
            self.engine.joined.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Makes the group assign anew, once after joining; true when it was asked now.
    ///
    /// The broker gives a static member that comes back the share of its predecessor and asks nobody. That share can be
    /// none, because the predecessor was leaving; or the predecessor had been told to give some partitions away and did
    /// not live to do so: then nobody has them, for good. A changed subscription makes the group look again.
    pub(super) fn ask_anew(&mut self) -> Result<bool, Exit> {
        if self.asked_anew || self.engine.stop.is_cancelled() {
            return Ok(false);
        }
        self.asked_anew = true;
        // Less than before and not more: a topic that the client has not heard of yet would change nothing.
        self.consumer
            .subscribe(&[topics::CHECKOUT_COMMANDS.name])
            .map_err(|error| rebuild("subscribe", &error))?;
        Ok(true)
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
        let (sender, outcome) = channel();
        std::thread::Builder::new()
            .name("takeover".into())
            // A receiver that has gone: this incarnation ended meanwhile.
            .spawn(move || drop(sender.send(takeover.run())))
            .map_err(|error| Exit::Rebuild(format!("takeover thread: {error}")))?;
        self.takeover = Some(Pending {
            outcome,
            _given_up: given_up.drop_guard(),
        });
        self.taking_over = partitions.iter().copied().collect();
        Ok(())
    }

    pub(super) fn finish_takeover(&mut self) -> Result<(), Exit> {
        let Some(pending) = &self.takeover else {
            return Ok(());
        };
        let mut all = match pending.outcome.try_recv() {
            Err(TryRecvError::Empty) => return Ok(()),
            Err(TryRecvError::Disconnected) => {
                return Err(Exit::Rebuild("the takeover panicked".into()));
            }
            Ok(taken) => taken.map_err(|error| Exit::Rebuild(error.to_string()))?,
        };
        self.takeover = None;
        let wanted = std::mem::take(&mut self.taking_over);
        all.retain(|id, _| wanted.contains(id));
        let mut taken = HashMap::new();
        for (id, partition) in all {
            match partition {
                Ok(partition) => drop(taken.insert(id, partition)),
                Err(damage) => tell_stopped(id, &damage),
            }
        }
        if taken.is_empty() {
            return Ok(());
        }
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
        self.ask_anew()?;
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
        match transaction::commit(&self.producer, Some(&group), &writes) {
            Ok(_) => Ok(()),
            Err(Failure::Fenced) => Err(self.fenced()),
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
        stopped(id).set(0.0);
        let books = &partition.books;
        let shared = &self.engine.shared;
        shared.worklist.adopt(id, books, partition.last_time);
        shared.memory.update(id, books.events());
        self.partitions.insert(id, partition);
    }
}

/// 1 while this process owns the partition and decides nothing in it.
fn stopped(id: i32) -> metrics::Gauge {
    metrics::gauge!("checkout_partition_stopped", "partition" => id.to_string())
}

fn tell_stopped(id: i32, damage: &Damage) {
    stopped(id).set(1.0);
    tracing::error!(
        partition = id,
        error = damage as &dyn std::error::Error,
        "partition stopped: nothing of its events is sold until somebody has mended it"
    );
}
