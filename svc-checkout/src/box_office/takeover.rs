//! Taking partitions over: read what the last owner wrote, and be sure that it is all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::avro::{Registry, RegistryError};
use platform::clock::Timestamp;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics;
use tokio::runtime::Handle;

use super::EngineConfig;
use super::kafka::{CALL_TIMEOUT, Reader, reader, transactional_producer};
use super::partition::{Partition, RememberedBatch};
use super::projector::{Projection, fact_of};
use super::state_records::{self as state, Entity, Key, StateError};
use crate::domain::books::{Changes, CommandEffect};
use crate::domain::fact::Fact;
use crate::planted::{Bug, planted};

/// Longer than this and the state is read again: its tombstones live 60 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// Facts whose rows are written together.
const FACTS_AT_ONCE: usize = 500;
const POLL: Duration = Duration::from_millis(100);
/// The broker ends a dead owner's transaction within this time once it is fenced.
const FENCE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why partitions could not be taken over. The engine starts again.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// The broker refused or is away.
    #[error("take over: {0}")]
    Kafka(#[from] KafkaError),
    /// The registry is away.
    #[error("take over: {0}")]
    Registry(#[from] RegistryError),
    /// The state cannot be read: a person must look.
    #[error("take over: record {key:?} at {partition}/{offset} of checkout.state: {source}")]
    State {
        /// Key of the record.
        key: String,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
        /// Why.
        source: StateError,
    },
    /// It took too long.
    #[error("take over: not done within {} s", PATIENCE.as_secs())]
    TooSlow,
    /// Commands were deleted before they were decided: a person must look.
    #[error(
        "take over: the position {position} of partition {partition} lies before the first \
         command that is left, {first}"
    )]
    CommandsLost {
        /// Partition.
        partition: i32,
        /// Next command to decide.
        position: i64,
        /// First one there.
        first: i64,
    },
}

/// What a takeover needs. Runs on a thread of its own: the engine goes on meanwhile.
pub struct Takeover {
    /// Settings.
    pub config: EngineConfig,
    /// Schemas.
    pub registry: Registry,
    /// Writes rows that the last owner had committed and not written.
    pub projection: Arc<Projection>,
    /// For the calls that are async.
    pub runtime: Handle,
    /// Partitions to take over.
    pub partitions: Vec<i32>,
}

impl Takeover {
    /// The partitions, rebuilt. Called after the assign event.
    pub fn run(&self) -> Result<HashMap<i32, Partition>, TakeoverError> {
        let started = Instant::now();
        let targets = self.high_watermarks()?;
        let mut states: HashMap<i32, Reading> = HashMap::new();
        let committed = reader(&self.config, "read_committed")?;
        self.read_state(&committed, &mut states, started)?;
        self.fence_last_owners(&states);
        self.await_stable(&committed, &targets, started)?;
        // Now everything that the last owner committed is visible: read on to it. (Reading "to
        // the end" alone stops before an open transaction that could still be committed.)
        self.read_state(&committed, &mut states, started)?;
        self.project_tail(&committed, started)?;
        let mut partitions = HashMap::new();
        for &id in &self.partitions {
            let reading = states.remove(&id).unwrap_or_default();
            partitions.insert(id, self.finish(&committed, id, reading)?);
        }
        tracing::info!(
            partitions = ?self.partitions,
            ms = started.elapsed().as_millis(),
            "taken over"
        );
        Ok(partitions)
    }

    /// High watermarks now, of everything that one transaction writes and we read.
    fn high_watermarks(&self) -> Result<Vec<(&'static str, i32, i64)>, TakeoverError> {
        // A read_committed client would be told the stable offset instead.
        let uncommitted = reader(&self.config, "read_uncommitted")?;
        let mut targets = Vec::new();
        for &partition in &self.partitions {
            for topic in TRANSACTED {
                let (_, high) = uncommitted.fetch_watermarks(topic, partition, CALL_TIMEOUT)?;
                targets.push((topic, partition, high));
            }
        }
        Ok(targets)
    }

    fn await_stable(
        &self,
        committed: &Reader,
        targets: &[(&'static str, i32, i64)],
        started: Instant,
    ) -> Result<(), TakeoverError> {
        for &(topic, partition, target) in targets {
            loop {
                let (_, stable) = committed.fetch_watermarks(topic, partition, CALL_TIMEOUT)?;
                if stable >= target {
                    break;
                }
                if started.elapsed() > PATIENCE {
                    return Err(TakeoverError::TooSlow);
                }
                // A broker that is asked again at once answers the same.
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Reads checkout.state from where each reading stands to its end.
    fn read_state(
        &self,
        consumer: &Reader,
        states: &mut HashMap<i32, Reading>,
        started: Instant,
    ) -> Result<(), TakeoverError> {
        let from: HashMap<i32, Offset> = self
            .partitions
            .iter()
            .map(|id| {
                let next = states.get(id).map(|reading| reading.next_offset);
                (*id, next.map_or(Offset::Beginning, Offset::Offset))
            })
            .collect();
        read_to_end(
            consumer,
            topics::CHECKOUT_STATE.name,
            &from,
            started,
            |message| {
                let reading = states.entry(message.partition()).or_default();
                reading.next_offset = message.offset() + 1;
                let key = String::from_utf8_lossy(message.key().unwrap_or_default());
                let failed = |source| TakeoverError::State {
                    key: key.to_string(),
                    partition: message.partition(),
                    offset: message.offset(),
                    source,
                };
                match message.payload() {
                    None => reading.remove(state::parse_key(&key).map_err(failed)?),
                    Some(payload) => {
                        let opened = self.open(payload)?;
                        let datum = opened.map_err(|error| failed(error.into()))?;
                        reading.put(&key, state::entity_in(&datum).map_err(failed)?);
                    }
                }
                Ok(())
            },
        )
    }

    fn open<'a>(
        &self,
        payload: &'a [u8],
    ) -> Result<Result<platform::avro::Datum<'a>, platform::avro::DecodeError>, RegistryError> {
        match self.registry.open_known(payload) {
            Some(opened) => Ok(opened),
            None => self.runtime.block_on(self.registry.open(payload)),
        }
    }

    /// Ends the open transaction of an owner that did not hand over. For speed only: one second
    /// instead of the transaction's time-out; safety rests on waiting for the stable offset.
    fn fence_last_owners(&self, states: &HashMap<i32, Reading>) {
        let mut owners: Vec<&str> = states
            .values()
            .map(|reading| reading.owner.as_str())
            .filter(|owner| !owner.is_empty())
            .collect();
        owners.sort_unstable();
        owners.dedup();
        if planted(Bug::NoOffsetsInExpiry) {
            return;
        }
        for owner in owners {
            let fenced = transactional_producer(&self.config, owner)
                .and_then(|producer| producer.init_transactions(FENCE_TIMEOUT));
            match fenced {
                Ok(()) => tracing::info!(owner, "last owner fenced"),
                Err(error) => tracing::info!(owner, %error, "last owner not fenced"),
            }
        }
    }

    /// Writes the rows of what was committed and may not be in the tables yet.
    fn project_tail(&self, consumer: &Reader, started: Instant) -> Result<(), TakeoverError> {
        for topic in [topics::CHECKOUT_ORDERS.name, topics::CHECKOUT_PAYMENTS.name] {
            let mut list = TopicPartitionList::new();
            for &id in &self.partitions {
                list.add_partition(topic, id);
            }
            let known = consumer.committed_offsets(list, CALL_TIMEOUT)?;
            let from: HashMap<i32, Offset> = known
                .elements()
                .iter()
                .map(|element| match element.offset() {
                    Offset::Offset(next) => (element.partition(), Offset::Offset(next)),
                    _ => (element.partition(), Offset::Beginning),
                })
                .collect();
            let mut facts = Vec::new();
            read_to_end(consumer, topic, &from, started, |message| {
                let Some(payload) = message.payload() else {
                    return Ok(());
                };
                match self.open(payload)? {
                    Ok(datum) => facts.extend(fact_of(&datum)),
                    Err(error) => tracing::error!(
                        topic,
                        partition = message.partition(),
                        offset = message.offset(),
                        %error,
                        "ledger record not readable"
                    ),
                }
                if facts.len() >= FACTS_AT_ONCE {
                    self.write(&mut facts);
                }
                Ok(())
            })?;
            self.write(&mut facts);
        }
        Ok(())
    }

    fn write(&self, facts: &mut Vec<Fact>) {
        let write = self.projection.write(facts.iter().collect());
        self.runtime.block_on(write);
        facts.clear();
    }

    fn finish(
        &self,
        consumer: &Reader,
        id: i32,
        reading: Reading,
    ) -> Result<Partition, TakeoverError> {
        let topic = topics::CHECKOUT_COMMANDS.name;
        let (first, _) = consumer.fetch_watermarks(topic, id, CALL_TIMEOUT)?;
        let position = first_to_decide(id, reading.position, first)?;
        let mut changes = reading.changes;
        let mut remembered = Vec::new();
        for (key, (at, effects)) in reading.commands {
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
            last_time: reading.last_time,
            remembered: remembered.into(),
            ..Partition::default()
        };
        partition.books.merge(changes);
        Ok(partition)
    }
}

/// Where a partition goes on: at its recorded position, or at the first command of all.
fn first_to_decide(
    partition: i32,
    recorded: Option<i64>,
    first: i64,
) -> Result<i64, TakeoverError> {
    match recorded {
        Some(position) if position < first => Err(TakeoverError::CommandsLost {
            partition,
            position,
            first,
        }),
        recorded => Ok(recorded.unwrap_or(first)),
    }
}

/// Topics that a transaction of the box office writes and a takeover reads.
const TRANSACTED: [&str; 3] = [
    topics::CHECKOUT_STATE.name,
    topics::CHECKOUT_ORDERS.name,
    topics::CHECKOUT_PAYMENTS.name,
];

/// What was read of one partition so far.
#[derive(Default)]
struct Reading {
    next_offset: i64,
    owner: String,
    position: Option<i64>,
    last_time: Timestamp,
    changes: Changes,
    commands: HashMap<String, (Timestamp, Vec<(uuid::Uuid, CommandEffect)>)>,
}

impl Reading {
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

/// Reads partitions of one topic to their stable end.
fn read_to_end(
    consumer: &Reader,
    topic: &str,
    from: &HashMap<i32, Offset>,
    started: Instant,
    mut each: impl FnMut(&rdkafka::message::BorrowedMessage<'_>) -> Result<(), TakeoverError>,
) -> Result<(), TakeoverError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in from {
        list.add_partition_offset(topic, *partition, *offset)?;
    }
    consumer.assign(&list)?;
    let mut unread: HashSet<i32> = from.keys().copied().collect();
    while !unread.is_empty() {
        if started.elapsed() > PATIENCE {
            return Err(TakeoverError::TooSlow);
        }
        match consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => each(&message)?,
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                unread.remove(&partition);
            }
            Some(Err(error)) => return Err(error.into()),
        }
    }
    consumer.unassign()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_are_gone_stop_their_partition() {
        assert!(matches!(first_to_decide(0, None, 3), Ok(3)));
        assert!(matches!(first_to_decide(0, Some(7), 3), Ok(7)));
        assert!(matches!(
            first_to_decide(0, Some(2), 3),
            Err(TakeoverError::CommandsLost { .. })
        ));
    }
}
