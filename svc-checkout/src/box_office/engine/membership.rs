//! What the group says: shares that come and go, and leaving it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer as _;
use schemas::topics;

use super::batch::Incoming;
use super::incarnation::{Exit, Incarnation, rebuild};
use crate::box_office::kafka::{RebalanceEvent, unassign};
use crate::box_office::takeover::Damage;

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
        while !(self.drained && self.given.is_empty()) {
            if self.owes_an_answer() && started.elapsed() < TAKE_OVER_FIRST_FOR {
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
        // The client's pause would outlive its assignment: if the partition came back, it would be silent.
        if self.stopped.remove(id)
            && let Err(error) = self.consumer.resume(&only(id))
        {
            tracing::warn!(partition = id, %error, "not resumed");
        }
    }

    /// Decides nothing more in this partition, and stays its owner: whoever got it would find the same.
    pub(super) fn stop_partition(&mut self, id: i32, damage: &Damage) -> Result<(), Exit> {
        self.consumer
            .pause(&only(id))
            .map_err(|error| rebuild("pause", &error))?;
        self.forget(id);
        self.stopped.add(id, damage);
        Ok(())
    }

    /// Does what the group said, after the batch is committed.
    pub(super) fn follow(&mut self, events: &[RebalanceEvent]) -> Result<(), Exit> {
        for event in events {
            match event {
                RebalanceEvent::Revoked { partitions, .. } => {
                    for id in partitions {
                        self.forget(*id);
                        self.given.remove(id);
                    }
                    // The group says more when it has moved them.
                    self.drained = false;
                    self.give_takeovers_up(partitions);
                    unassign(&self.consumer, partitions)
                        .map_err(|error| rebuild("unassign", &error))?;
                    tracing::info!(?partitions, "revoked");
                }
                RebalanceEvent::Assigned { partitions } if partitions.is_empty() => {
                    self.assign_nothing()?;
                }
                RebalanceEvent::Assigned { partitions } => {
                    self.given.extend(partitions);
                    self.start_takeover(partitions)?;
                }
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
}

fn only(id: i32) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(topics::CHECKOUT_COMMANDS.name, id);
    list
}
