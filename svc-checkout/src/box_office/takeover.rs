//! Taking partitions over: read what the last owner wrote, and be sure that it is all.

mod reading;
#[cfg(test)]
mod round_trip;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::avro::{Datum, DecodeError, Registry, RegistryError};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::EngineConfig;
use super::kafka::{CALL_TIMEOUT, Reader, reader, transactional_producer};
use super::partition::Partition;
use super::projector::{Projection, fact_of};
use crate::domain::fact::Fact;
use crate::planted::{Bug, planted};
pub use reading::Damage;
use reading::{Reading, judge};

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
    /// The registry does not know what a record was written with. It does some time: whoever wrote it had registered it.
    #[error("take over: schema id {0} is unknown to the registry")]
    UnknownSchema(u32),
    /// It took too long.
    #[error("take over: state not read within {} s", PATIENCE.as_secs())]
    TooSlow,
    /// Nobody waits for it any more.
    #[error("take over: given up")]
    GivenUp,
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
    /// Cancelled when nobody waits for it any more.
    pub given_up: CancellationToken,
}

/// The partitions, each rebuilt or damaged.
pub type TakenOver = HashMap<i32, Result<Partition, Damage>>;

impl Takeover {
    /// The partitions, rebuilt. Called after the assign event.
    pub fn run(&self) -> Result<TakenOver, TakeoverError> {
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
        self.project_tail(&committed)?;
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
                self.go_on(Some(started))?;
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
            || self.go_on(Some(started)),
            |message| {
                let reading = states.entry(message.partition()).or_default();
                reading.next_offset = message.offset() + 1;
                let key = String::from_utf8_lossy(message.key().unwrap_or_default());
                let opened = message.payload().map(|payload| self.open(payload));
                reading.take(&key, message.offset(), opened.transpose()?);
                Ok(())
            },
        )
    }

    fn open<'a>(&self, payload: &'a [u8]) -> Result<Result<Datum<'a>, DecodeError>, RegistryError> {
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
    ///
    /// However long it takes: after the offsets were lost it is the whole ledger. How far it came is told as it goes, so
    /// that nobody begins at the first record again.
    fn project_tail(&self, consumer: &Reader) -> Result<(), TakeoverError> {
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
            let mut tail = Tail::default();
            let go_on = || self.go_on(None);
            read_to_end(consumer, topic, &from, go_on, |message| {
                tail.next.insert(message.partition(), message.offset() + 1);
                let Some(payload) = message.payload() else {
                    return Ok(());
                };
                match self.open(payload)? {
                    Ok(datum) => tail.facts.extend(fact_of(&datum)),
                    // Passed over, its row would be missing for ever.
                    Err(DecodeError::UnknownSchema(id)) => {
                        return Err(TakeoverError::UnknownSchema(id));
                    }
                    Err(error) => tracing::error!(
                        topic,
                        partition = message.partition(),
                        offset = message.offset(),
                        %error,
                        "ledger record not readable"
                    ),
                }
                if tail.facts.len() >= FACTS_AT_ONCE {
                    self.write(consumer, topic, &mut tail)?;
                }
                Ok(())
            })?;
            self.write(consumer, topic, &mut tail)?;
        }
        Ok(())
    }

    fn write(&self, consumer: &Reader, topic: &str, tail: &mut Tail) -> Result<(), TakeoverError> {
        let facts = std::mem::take(&mut tail.facts);
        self.runtime
            .block_on(self.projection.write(facts.iter().collect()));
        let mut list = TopicPartitionList::new();
        for (partition, next) in tail.next.drain() {
            list.add_partition_offset(topic, partition, Offset::Offset(next))?;
        }
        if list.count() > 0
            && let Err(error) = consumer.commit(&list, CommitMode::Sync)
        {
            // The next owner writes the same rows again.
            tracing::warn!(%error, topic, "projection offsets not committed");
        }
        Ok(())
    }

    /// Whether to wait on, for the state no longer than [`PATIENCE`].
    fn go_on(&self, since: Option<Instant>) -> Result<(), TakeoverError> {
        if self.given_up.is_cancelled() {
            return Err(TakeoverError::GivenUp);
        }
        match since {
            Some(since) if since.elapsed() > PATIENCE => Err(TakeoverError::TooSlow),
            _ => Ok(()),
        }
    }

    fn finish(
        &self,
        consumer: &Reader,
        id: i32,
        reading: Reading,
    ) -> Result<Result<Partition, Damage>, TakeoverError> {
        let topic = topics::CHECKOUT_COMMANDS.name;
        let (first, _) = consumer.fetch_watermarks(topic, id, CALL_TIMEOUT)?;
        judge(reading.finish(id, first))
    }
}

/// What of the ledger may not be in the tables, on its way there.
#[derive(Default)]
struct Tail {
    facts: Vec<Fact>,
    /// First offset by partition that was not read yet.
    next: HashMap<i32, i64>,
}

/// Topics that a transaction of the box office writes and a takeover reads.
const TRANSACTED: [&str; 3] = [
    topics::CHECKOUT_STATE.name,
    topics::CHECKOUT_ORDERS.name,
    topics::CHECKOUT_PAYMENTS.name,
];

/// Reads partitions of one topic to their stable end.
fn read_to_end(
    consumer: &Reader,
    topic: &str,
    from: &HashMap<i32, Offset>,
    go_on: impl Fn() -> Result<(), TakeoverError>,
    mut each: impl FnMut(&rdkafka::message::BorrowedMessage<'_>) -> Result<(), TakeoverError>,
) -> Result<(), TakeoverError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in from {
        list.add_partition_offset(topic, *partition, *offset)?;
    }
    consumer.assign(&list)?;
    let mut unread: HashSet<i32> = from.keys().copied().collect();
    while !unread.is_empty() {
        go_on()?;
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
