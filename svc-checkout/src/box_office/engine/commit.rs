//! Deciding a batch and committing it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use platform::clock::Timestamp;
use rdkafka::consumer::{Consumer as _, ConsumerGroupMetadata};

use super::batch::{Decided, Incoming, Rules, decide_partition};
use super::incarnation::{Exit, Incarnation, rebuild};
use super::transaction::{self, Failure, Writes};
use crate::box_office::changelog::Changelog;
use crate::box_office::kafka::RebalanceEvent;
use crate::box_office::partition::RememberedBatch;
use crate::box_office::projector::Committed;
use crate::box_office::state_records::commands_key;
use crate::box_office::takeover::Damage;
use crate::planted::{Bug, planted};

/// A batch is decided again for so long: until the group has moved, which takes less than a second, or a broker is back.
/// Below max.poll.interval.ms, together with a call that takes long.
const ABORTS_FOR: Duration = Duration::from_secs(4);
/// What [`Damage::Panicked`] says of a record that does not fit its schema.
const WRITING: &str = "writing its records";

impl Incarnation<'_> {
    /// Decides and commits; after an abort the same batch again, less what was lost meanwhile. What the group says
    /// meanwhile is added to `events`.
    ///
    /// Not by starting again: while one member does, the others' transactions are refused, and they would start again
    /// for ever in turn.
    pub(super) fn decide_and_commit(
        &mut self,
        mut batch: Vec<Incoming>,
        events: &mut Vec<RebalanceEvent>,
    ) -> Result<(), Exit> {
        let started = Instant::now();
        if planted(Bug::NoOffsetsInExpiry) && !batch.is_empty() {
            self.decide_and_commit(Vec::new(), events)?;
        }
        loop {
            let revoked = &self.drop_lost(events, &mut batch);
            if self.partitions.is_empty() {
                return Ok(());
            }
            let group = self.group()?;
            let (mut decided, mut damaged) = self.decide(&batch, revoked);
            let writes = write_each(&mut decided, &mut damaged, |id, part| {
                self.writes(id, part, revoked)
            });
            for (id, damage) in damaged {
                self.stop_partition(id, &damage)?;
            }
            if decided.is_empty() {
                return Ok(());
            }
            if planted(Bug::AnswerBeforeCommit) {
                return self.answer_and_commit(decided, &group, &writes);
            }
            let unchecked = planted(Bug::NoOffsetsInExpiry) && batch.is_empty();
            let group = (!unchecked).then_some(&group);
            match transaction::commit(&self.producer, group, &writes) {
                Ok(ledger) => {
                    self.take_over_batch(decided, ledger);
                    return Ok(());
                }
                Err(Failure::Fenced) => return Err(self.fenced()),
                Err(Failure::Rebuild(reason)) => return Err(Exit::Rebuild(reason)),
                Err(Failure::Abort(reason)) => {
                    tracing::warn!(reason, "batch aborted");
                    metrics::counter!("checkout_aborts_total").increment(1);
                    transaction::abort(&self.producer).map_err(|error| rebuild("abort", &error))?;
                    if started.elapsed() > ABORTS_FOR {
                        return Err(Exit::Rebuild(format!(
                            "aborted again and again, at last: {reason}"
                        )));
                    }
                    batch.extend(self.gather()?);
                    events.extend(self.consumer.context().take_events());
                }
            }
        }
    }

    /// [`Bug::AnswerBeforeCommit`], with time enough in between for somebody to pull the plug.
    fn answer_and_commit(
        &mut self,
        decided: BTreeMap<i32, Decided>,
        group: &ConsumerGroupMetadata,
        writes: &BTreeMap<i32, Writes>,
    ) -> Result<(), Exit> {
        self.take_over_batch(decided, HashMap::new());
        std::thread::sleep(Duration::from_millis(200));
        match transaction::commit(&self.producer, Some(group), writes) {
            Ok(_) => Ok(()),
            Err(failure) => Err(Exit::Rebuild(format!("{failure:?}"))),
        }
    }

    pub(super) fn decide(
        &self,
        batch: &[Incoming],
        revoked: &BTreeSet<i32>,
    ) -> (BTreeMap<i32, Decided>, Vec<(i32, Damage)>) {
        let clock = Timestamp::now();
        let rules = Rules {
            hold_for: self.engine.config.hold_for,
            remember_for: self.engine.config.remember_for,
        };
        let mut by_partition: HashMap<i32, Vec<&Incoming>> = HashMap::new();
        for incoming in batch {
            by_partition
                .entry(incoming.partition)
                .or_default()
                .push(incoming);
        }
        let mut all = BTreeMap::new();
        let mut damaged = Vec::new();
        for (id, partition) in &self.partitions {
            let commands = by_partition.remove(id).unwrap_or_default();
            let inventory = self.inventory.get(id).map_or(&[][..], Vec::as_slice);
            let decided = match decide_partition(partition, &commands, inventory, rules, clock) {
                Ok(decided) => decided,
                Err(damage) => {
                    damaged.push((*id, damage));
                    continue;
                }
            };
            if revoked.contains(id) || !decided.is_empty(partition) {
                all.insert(*id, decided);
            }
        }
        (all, damaged)
    }

    fn writes(&self, id: i32, part: &Decided, revoked: &BTreeSet<i32>) -> Writes {
        let changelog = &self.engine.changelog;
        let mut outputs = Vec::new();
        for settled in &part.settled {
            let traceparent = settled.traceparent.as_deref();
            let facts = settled.facts.iter();
            outputs.extend(facts.map(|fact| changelog.fact(fact, traceparent)));
        }
        let batch_key = self.commands_key(id);
        outputs.extend(changelog.changes(&part.changes, &batch_key, part.now));
        outputs.extend(part.forgotten.iter().cloned().map(Changelog::forget));
        outputs.extend(part.dead.iter().map(|dead| {
            let place = (id, dead.offset);
            changelog.dead_letter(place, dead.payload.clone(), dead.reason.clone(), part.now)
        }));
        let owner = if revoked.contains(&id) {
            ""
        } else {
            &self.owner
        };
        outputs.push(changelog.position(owner, part.position, part.now));
        let position = part.position;
        Writes { outputs, position }
    }

    /// Names a batch by its first offset: unique, since a batch with effects moves the position.
    pub(super) fn commands_key(&self, id: i32) -> String {
        commands_key(
            self.partitions
                .get(&id)
                .map_or(0, |partition| partition.position),
        )
    }

    /// The batch is committed: the books, the worklist and the projector get it.
    pub(super) fn take_over_batch(
        &mut self,
        decided: BTreeMap<i32, Decided>,
        ledger: HashMap<(&'static str, i32), i64>,
    ) {
        let mut committed = Committed {
            settled: Vec::new(),
            ledger,
        };
        for (id, part) in decided {
            let key = self.commands_key(id);
            self.inventory.remove(&id);
            let shared = &self.engine.shared;
            shared.worklist.update(id, &part.changes, part.now);
            shared.memory.update(id, part.changes.events.values());
            for dead in &part.dead {
                tracing::error!(
                    partition = id,
                    offset = dead.offset,
                    reason = dead.reason,
                    "dead letter"
                );
            }
            let remembered = (!part.changes.effects.is_empty()).then(|| RememberedBatch {
                key,
                at: part.now,
                commands: part.changes.effects.keys().copied().collect(),
            });
            if let Some(partition) = self.partitions.get_mut(&id) {
                partition.commit(
                    part.changes,
                    part.position,
                    part.now,
                    remembered,
                    part.forgotten.len(),
                );
            }
            committed.settled.extend(part.settled);
        }
        metrics::histogram!("checkout_batch_commands").record(committed.settled.len() as f64);
        // There is room: `await_projector` leaves a reserve, and nobody else sends. A closed channel
        // means that the process is stopping; the rows are written by the next owner.
        let _ = self.engine.committed.blocking_send(committed);
    }
}

/// The records of each partition. Where writing them panics the partition is damaged, and no longer among `decided`: the
/// others go on, and a restart would find the same.
fn write_each(
    decided: &mut BTreeMap<i32, Decided>,
    damaged: &mut Vec<(i32, Damage)>,
    write: impl Fn(i32, &Decided) -> Writes,
) -> BTreeMap<i32, Writes> {
    let mut writes = BTreeMap::new();
    decided.retain(
        |&id, part| match catch_unwind(AssertUnwindSafe(|| write(id, part))) {
            Ok(written) => {
                writes.insert(id, written);
                true
            }
            Err(_) => {
                damaged.push((id, Damage::Panicked(WRITING)));
                false
            }
        },
    );
    writes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::books::Changes;

    #[test]
    fn a_partition_whose_records_cannot_be_written_stops_alone() {
        let decided = |position| Decided {
            changes: Changes::default(),
            settled: Vec::new(),
            dead: Vec::new(),
            forgotten: Vec::new(),
            position,
            now: Timestamp::from_seconds(1),
        };
        let mut all = BTreeMap::from([(3, decided(30)), (4, decided(40)), (5, decided(50))]);
        let mut damaged = vec![(1, Damage::Panicked("earlier"))];
        let writes = write_each(&mut all, &mut damaged, |id, part| {
            assert_ne!(id, 4, "no record fits this one");
            let (outputs, position) = (Vec::new(), part.position);
            Writes { outputs, position }
        });
        let positions: Vec<_> = writes.iter().map(|(id, w)| (*id, w.position)).collect();
        assert_eq!(positions, [(3, 30), (5, 50)]);
        assert!(all.keys().eq(writes.keys()));
        assert!(matches!(
            damaged[..],
            [(1, _), (4, Damage::Panicked(WRITING))]
        ));
    }
}
