//! Taking partitions over: read what the last owner wrote, and be sure that it is all.

mod readers;
mod reading;
#[cfg(test)]
mod round_trip;
mod tail;

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::avro::{Datum, DecodeError, Registry, RegistryError};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::EngineConfig;
use super::kafka::{CALL_TIMEOUT, Reader, transactional_producer};
use super::partition::Partition;
use super::projector::Projection;
use crate::planted::{Bug, planted};
pub use readers::ReaderPool;
pub use reading::Damage;
use reading::{READING, Reading, judge};
use tail::portions;

/// Longer than this and the state is read again: its tombstones live 60 s.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);
/// The broker ends a dead owner's transaction within this time once it is fenced.
const FENCE_TIMEOUT: Duration = Duration::from_secs(5);

/// Why partitions could not be taken over. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// The broker refused or is away.
    #[error("take over: {0}")]
    Kafka(#[from] KafkaError),
    /// The registry is away.
    #[error("take over: {0}")]
    Registry(#[from] RegistryError),
    /// The registry does not know what a record was written with. It does some time: whoever wrote it had registered it.
    #[error("take over: schema id {schema} of partition {partition} is unknown to the registry")]
    UnknownSchema {
        /// Where the record is.
        partition: i32,
        /// The id in its first bytes.
        schema: u32,
    },
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
    /// Its clients.
    pub readers: Arc<ReaderPool>,
    /// Partitions to take over.
    pub partitions: Vec<i32>,
    /// Transactional id of the engine itself. What it wrote last, nobody else has written since.
    pub owner: String,
    /// Cancelled when nobody waits for it any more.
    pub given_up: CancellationToken,
}

/// The partitions, each rebuilt or damaged.
pub type TakenOver = HashMap<i32, Result<Partition, Damage>>;

impl Takeover {
    /// Rebuilds the partitions and tells them as they are ready: first and together those of which few rows are to be
    /// written, which may be none; then the others, one by one. Called after the assign event.
    ///
    /// After an error, what was told is whole. A schema that the registry does not know keeps its own partition back, and
    /// is the error when all others are told.
    pub fn run(&self, tell: impl Fn(TakenOver)) -> Result<(), TakeoverError> {
        let started = Instant::now();
        let readers = self.readers.take()?;
        let targets = self.high_watermarks(&readers.uncommitted)?;
        let mut states: HashMap<i32, Reading> = HashMap::new();
        let committed = &readers.committed;
        self.read_state(committed, &mut states, started)?;
        self.fence_last_owners(&states, started)?;
        self.await_stable(committed, &targets, started)?;
        // Now everything that the last owner committed is visible: read on to it. (Reading "to
        // the end" alone stops before an open transaction that could still be committed.)
        self.read_state(committed, &mut states, started)?;
        let written = self.written_until(committed)?;
        let mut unknown = HashMap::new();
        for ids in portions(&self.partitions, &written) {
            unknown.extend(self.project_tail(committed, &ids, &written)?);
            let mut taken = TakenOver::new();
            for &id in &ids {
                let reading = states.remove(&id).unwrap_or_default();
                match self.finish(committed, id, reading)? {
                    Err(schema) => drop(unknown.insert(id, schema)),
                    Ok(_) if unknown.contains_key(&id) => {}
                    Ok(partition) => drop(taken.insert(id, partition)),
                }
            }
            let ids: Vec<i32> = taken.keys().copied().collect();
            tracing::info!(partitions = ?ids, ms = started.elapsed().as_millis(), "taken over");
            tell(taken);
        }
        self.readers.put_back(readers);
        match unknown.into_iter().next() {
            None => Ok(()),
            Some((partition, schema)) => Err(TakeoverError::UnknownSchema { partition, schema }),
        }
    }

    /// High watermarks now, of everything that one transaction writes and we read.
    fn high_watermarks(
        &self,
        uncommitted: &Reader,
    ) -> Result<Vec<(&'static str, i32, i64)>, TakeoverError> {
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

    /// Ends the producer of an owner that did not hand over, and with it its open transaction.
    ///
    /// Not for speed alone. A client that was thrown out of the group while it was asking for its share is let in again
    /// under its name and does not say that it was out: its engine then has valid metadata and the books of before, and
    /// would write them at the next revoke. Its fenced producer cannot.
    fn fence_last_owners(
        &self,
        states: &HashMap<i32, Reading>,
        started: Instant,
    ) -> Result<(), TakeoverError> {
        let mut owners: Vec<&str> = states
            .values()
            .map(|reading| reading.owner.as_str())
            .filter(|owner| !owner.is_empty() && *owner != self.owner)
            .collect();
        owners.sort_unstable();
        owners.dedup();
        if planted(Bug::NoOffsetsInExpiry) {
            return Ok(());
        }
        for owner in owners {
            while let Err(error) = transactional_producer(&self.config, owner)
                .and_then(|producer| producer.init_transactions(FENCE_TIMEOUT))
            {
                tracing::warn!(owner, %error, "last owner not fenced yet");
                self.go_on(Some(started))?;
                self.wait(POLL)?;
            }
            tracing::info!(owner, "last owner fenced");
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

    fn wait(&self, time: Duration) -> Result<(), TakeoverError> {
        let waited = async {
            self.given_up
                .run_until_cancelled(tokio::time::sleep(time))
                .await
        };
        self.runtime.block_on(waited).ok_or(TakeoverError::GivenUp)
    }

    /// The partition, or the schema id for which it must wait.
    fn finish(
        &self,
        consumer: &Reader,
        id: i32,
        reading: Reading,
    ) -> Result<Result<Result<Partition, Damage>, u32>, TakeoverError> {
        let topic = topics::CHECKOUT_COMMANDS.name;
        let (first, _) = consumer.fetch_watermarks(topic, id, CALL_TIMEOUT)?;
        let finished = catch_unwind(AssertUnwindSafe(|| reading.finish(id, first)));
        Ok(judge(finished.unwrap_or(Err(Damage::Panicked(READING)))))
    }
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
