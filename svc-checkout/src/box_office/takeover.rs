//! Taking partitions over: read what the last owner wrote, and be sure that it is all.

mod reading;
#[cfg(test)]
mod round_trip;

use std::collections::{HashMap, HashSet};
use std::iter;
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
    /// Rebuilds the partitions and tells them as they are ready: first and together those of which it is known how far their
    /// rows are written, which may be none; then, one by one, those whose whole ledger must be written again. Called after the
    /// assign event.
    pub fn run(&self, tell: impl Fn(TakenOver)) -> Result<(), TakeoverError> {
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
        let written = self.written_until(&committed)?;
        for ids in portions(&self.partitions, &written) {
            self.project_tail(&committed, &ids, &written)?;
            let mut taken = TakenOver::new();
            for &id in &ids {
                let reading = states.remove(&id).unwrap_or_default();
                taken.insert(id, self.finish(&committed, id, reading)?);
            }
            tracing::info!(partitions = ?ids, ms = started.elapsed().as_millis(), "taken over");
            tell(taken);
        }
        Ok(())
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

    /// Up to where the rows are known to be written; `Beginning` where nobody knows and there are some.
    fn written_until(&self, consumer: &Reader) -> Result<Written, TakeoverError> {
        let mut list = TopicPartitionList::new();
        for topic in LEDGER {
            for &id in &self.partitions {
                list.add_partition(topic, id);
            }
        }
        let known = consumer.committed_offsets(list, CALL_TIMEOUT)?;
        let mut written = Written::new();
        for topic in LEDGER {
            for &id in &self.partitions {
                let told = known.find_partition(topic, id).map(|it| it.offset());
                let until = match told {
                    Some(Offset::Offset(next)) => Offset::Offset(next),
                    _ => match consumer.fetch_watermarks(topic, id, CALL_TIMEOUT)? {
                        (first, end) if first == end => Offset::Offset(end),
                        _ => Offset::Beginning,
                    },
                };
                written.insert((topic, id), until);
            }
        }
        Ok(written)
    }

    /// Writes the rows of what was committed and may not be in the tables yet.
    ///
    /// However long it takes: after the offsets were lost it is the whole ledger. How far it came is told as it goes, so
    /// that nobody begins at the first record again.
    fn project_tail(
        &self,
        consumer: &Reader,
        partitions: &[i32],
        written: &Written,
    ) -> Result<(), TakeoverError> {
        for topic in LEDGER {
            let from: HashMap<i32, Offset> = partitions
                .iter()
                .map(|id| (*id, written[&(topic, *id)]))
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
        let written = self.projection.write(facts.iter().collect());
        // While the database is away it has no end. Half of it is as good as twice: rows are the same whoever writes them.
        self.runtime
            .block_on(self.given_up.run_until_cancelled(written))
            .ok_or(TakeoverError::GivenUp)?;
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

/// Where to read the ledger on, by topic and partition.
type Written = HashMap<(&'static str, i32), Offset>;

/// What is told together: first the partitions whose ledger is written but for a short tail, then each of the others.
fn portions(partitions: &[i32], written: &Written) -> impl Iterator<Item = Vec<i32>> {
    let is_far = |id: i32| {
        LEDGER
            .map(|topic| written[&(topic, id)])
            .contains(&Offset::Beginning)
    };
    let (far, near): (Vec<i32>, Vec<i32>) = partitions.iter().partition(|id| is_far(**id));
    iter::once(near).chain(far.into_iter().map(|id| vec![id]))
}

/// Topics whose records become rows.
const LEDGER: [&str; 2] = [topics::CHECKOUT_ORDERS.name, topics::CHECKOUT_PAYMENTS.name];

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_its_whole_ledger_to_write_holds_nobody_else_up() {
        let [orders, payments] = LEDGER;
        let at = |topic, id, offset| ((topic, id), offset);
        let written = Written::from([
            at(orders, 1, Offset::Offset(7)),
            at(payments, 1, Offset::Offset(0)),
            at(orders, 2, Offset::Offset(7)),
            at(payments, 2, Offset::Beginning),
            at(orders, 3, Offset::Beginning),
            at(payments, 3, Offset::Beginning),
            at(orders, 4, Offset::Offset(0)),
            at(payments, 4, Offset::Offset(3)),
        ]);
        let told = |partitions: &[i32]| portions(partitions, &written).collect::<Vec<_>>();
        assert_eq!(told(&[1, 2, 3, 4]), [vec![1, 4], vec![2], vec![3]]);
        // The first is told all the same: the group waits for it.
        assert_eq!(told(&[3]), [vec![], vec![3]]);
    }
}
