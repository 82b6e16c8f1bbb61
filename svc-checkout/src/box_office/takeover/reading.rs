//! What a takeover reads of one partition of checkout.state, and the partition that it makes.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};

use platform::avro::{Datum, DecodeError};
use platform::clock::Timestamp;
use uuid::Uuid;

use crate::box_office::partition::{Partition, RememberedBatch};
use crate::box_office::state_records::{self as state, Entity, Key, StateError};
use crate::domain::books::{Changes, CommandEffect};

/// Why one partition cannot be taken over, however often it is tried: a person must look. The others go on.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The newest record of a key cannot be read. A readable one of the same key, or a tombstone where there is nothing
    /// to say, mends it, also of a key that this version does not know.
    #[error("record {key:?} at offset {offset} of checkout.state: {source}")]
    State {
        /// Key of the record.
        key: String,
        /// Offset.
        offset: i64,
        /// Why.
        source: StateError,
    },
    /// Commands were deleted before they were decided.
    #[error("the position {position} lies before the first command that is left, {first}")]
    CommandsLost {
        /// Next command to decide.
        position: i64,
        /// First one there.
        first: i64,
    },
    /// Rules broke on what is in it.
    #[error("{0}: it panicked")]
    Panicked(&'static str),
}

/// What [`Damage::Panicked`] says of a state that breaks who reads it.
pub(super) const READING: &str = "reading its state";

/// Whether a partition can be taken over, ever. A schema that the registry does not know, which is the error, may be
/// there in a moment: it has come up empty, is behind, or is being replaced. Then the partition is tried again.
pub(super) fn judge(finished: Result<Partition, Damage>) -> Result<Result<Partition, Damage>, u32> {
    match finished {
        Err(Damage::State {
            source: StateError::Decode(DecodeError::UnknownSchema(id)),
            ..
        }) => Err(id),
        finished => Ok(finished),
    }
}

/// What was read of one partition so far.
#[derive(Default)]
pub(super) struct Reading {
    /// Where to read on.
    pub(super) next_offset: i64,
    /// Transactional id of who wrote last; empty after a hand-over.
    pub(super) owner: String,
    position: Option<i64>,
    last_time: Timestamp,
    changes: Changes,
    commands: HashMap<String, (Timestamp, Vec<(Uuid, CommandEffect)>)>,
    /// Keys whose newest record says nothing.
    unreadable: BTreeMap<String, (i64, StateError)>,
}

impl Reading {
    /// The next record; `None` is a tombstone.
    pub(super) fn take(
        &mut self,
        key: &str,
        offset: i64,
        opened: Option<Result<Datum<'_>, DecodeError>>,
    ) {
        self.next_offset = offset + 1;
        let taken = match opened {
            None => {
                // Whatever a key that only a newer version knows has stood for, it does no more.
                if let Ok(known) = state::parse_key(key) {
                    self.remove(known);
                }
                Ok(())
            }
            Some(opened) => opened
                .map_err(StateError::from)
                .and_then(|datum| {
                    catch_unwind(AssertUnwindSafe(|| state::entity_in(&datum)))
                        .unwrap_or(Err(StateError::Panicked))
                })
                .map(|entity| self.put(key, entity)),
        };
        match taken {
            Ok(()) => drop(self.unreadable.remove(key)),
            Err(error) => drop(self.unreadable.insert(key.to_owned(), (offset, error))),
        }
    }

    /// The partition as its last owner left it; `first` is the first command that is left.
    pub(super) fn finish(self, id: i32, first: i64) -> Result<Partition, Damage> {
        if let Some((key, (offset, source))) = self.unreadable.into_iter().next() {
            return Err(Damage::State {
                key,
                offset,
                source,
            });
        }
        let position = first_to_decide(self.position, first)?;
        tracing::debug!(partition = id, position, "state read");
        let mut changes = self.changes;
        let mut remembered = Vec::new();
        for (key, (at, effects)) in self.commands {
            remembered.push(RememberedBatch {
                key,
                at,
                commands: effects.iter().map(|(command, _)| *command).collect(),
            });
            changes.effects.extend(effects);
        }
        remembered.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        let mut partition = Partition {
            position,
            last_time: self.last_time,
            remembered: remembered.into(),
            ..Partition::default()
        };
        partition.books.merge(changes);
        Ok(partition)
    }

    fn put(&mut self, key: &str, entity: Entity) {
        match entity {
            Entity::Position(position) => {
                self.owner = position.owner;
                self.position = Some(position.next_offset);
                self.last_time = Timestamp::from_micros(position.last_time);
            }
            Entity::Event(book) => {
                self.changes.events.insert(book.id, book);
            }
            Entity::Hold(hold) => {
                self.changes.holds.insert(hold.order.id, Some(hold));
            }
            Entity::Buyer(buyer, count) => {
                self.changes.buyers.insert(buyer, Some(count));
            }
            Entity::Voucher(key, uses) => {
                self.changes.vouchers.insert(key, Some(uses));
            }
            Entity::Commands(at, effects) => {
                self.commands.insert(key.to_owned(), (at, effects));
            }
            Entity::Refund(refund) => {
                self.changes.refunds.insert(refund.payment_id, Some(refund));
            }
            Entity::Ended(ended) => {
                self.changes.ended.insert(ended.order_id, Some(ended));
            }
        }
    }

    fn remove(&mut self, key: Key) {
        match key {
            Key::Hold(id) => drop(self.changes.holds.remove(&id)),
            Key::Buyer(buyer) => drop(self.changes.buyers.remove(&buyer)),
            Key::Voucher(key) => drop(self.changes.vouchers.remove(&key)),
            Key::Commands(key) => drop(self.commands.remove(&key)),
            Key::Refund(id) => drop(self.changes.refunds.remove(&id)),
            Key::Ended(id) => drop(self.changes.ended.remove(&id)),
            Key::Permanent => {}
        }
    }
}

/// Where a partition goes on: at its recorded position, or at the first command of all.
fn first_to_decide(recorded: Option<i64>, first: i64) -> Result<i64, Damage> {
    match recorded {
        Some(position) if position < first => Err(Damage::CommandsLost { position, first }),
        recorded => Ok(recorded.unwrap_or(first)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_are_gone_stop_their_partition() {
        let read = |position| Reading {
            position,
            ..Reading::default()
        };
        let position = |read: Reading| read.finish(0, 3).map(|partition| partition.position);
        assert!(matches!(position(read(None)), Ok(3)));
        assert!(matches!(position(read(Some(7))), Ok(7)));
        let lost = position(read(Some(2)));
        assert!(matches!(
            lost,
            Err(Damage::CommandsLost {
                position: 2,
                first: 3
            })
        ));
    }

    #[test]
    fn the_last_record_of_a_key_is_the_one_that_must_be_readable() {
        let hold = format!("hold/{}", Uuid::from_u128(1));
        let not_framed = || Some(Err(DecodeError::NotFramed));
        let mut reading = Reading::default();
        reading.take(&hold, 5, not_framed());
        reading.take("no such key", 6, not_framed());
        reading.take(&hold, 7, None);
        assert_eq!(reading.next_offset, 8);
        match reading.finish(0, 0) {
            Err(Damage::State { key, offset: 6, .. }) => assert_eq!(key, "no such key"),
            other => panic!("{:?}", other.map(|partition| partition.position)),
        }
    }

    #[test]
    fn a_tombstone_mends_every_key_also_one_that_nobody_knows() {
        let hold = format!("hold/{}", Uuid::from_u128(1));
        for key in [hold.as_str(), "no such key"] {
            let mut mended = Reading::default();
            mended.take(key, 5, Some(Err(DecodeError::NotFramed)));
            mended.take(key, 7, None);
            assert!(mended.finish(0, 0).is_ok(), "{key}");
        }
    }

    #[test]
    fn a_schema_that_the_registry_does_not_know_yet_is_tried_again() {
        let hold = format!("hold/{}", Uuid::from_u128(1));
        let read = |error| {
            let mut reading = Reading::default();
            reading.take(&hold, 5, Some(Err(error)));
            judge(reading.finish(0, 0))
        };
        let unknown = read(DecodeError::UnknownSchema(77));
        assert!(matches!(unknown, Err(77)));
        let damaged = read(DecodeError::NotFramed);
        assert!(matches!(damaged, Ok(Err(Damage::State { .. }))));
    }
}
