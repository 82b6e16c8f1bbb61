//! Committed facts into the tables, then the answers to those who wait.
//!
//! Rows are written with the time of the decision as their timestamp, so that writing twice or
//! in another order ends in the same row.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, StreamExt as _, stream};
use platform::avro::{Datum, DecodeError};
use platform::cql::CqlError;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::{Offset, error::KafkaError};
use schemas::Record as _;
use schemas::checkout as record;
use tokio::sync::mpsc;

use super::client::BoxOffice;
use super::kafka::Reader;
use super::records::{FactRecord, RecordError, fact_in};
use super::waiters::Wish;
use crate::domain::command::{Answer, Refusal};
use crate::domain::fact::Fact;
use crate::planted::{Bug, planted};
use crate::store::orders::{End, OrderStore};

/// Committed batches that wait for their rows, at most; then the engine decides no more.
pub const BACKLOG: usize = 16;
/// Room beyond that. While the database is away a share that the group takes back must be committed all the same, and the
/// engine must not wait: whoever does not poll for ten seconds loses all its partitions. Each such batch is small.
pub const RESERVE: usize = 1_000;
/// Of that which is written at once.
const BATCHES_AT_ONCE: usize = 2;
/// Rows of changed orders that a batch writes at once.
const WRITES_AT_ONCE: usize = 128;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(2);
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// What one command or one expiry led to.
pub struct Settled {
    /// Facts to write.
    pub facts: Vec<Fact>,
    /// Whom to answer afterwards.
    pub reply: Option<Reply>,
    /// Trace context of the request, for the records that it caused.
    pub traceparent: Option<Arc<str>>,
}

/// The answer to a command.
pub struct Reply {
    /// What was asked.
    pub wish: Wish,
    /// The instance where its client waits; `None`: this one.
    pub to: Option<Arc<str>>,
    /// What was decided.
    pub decided: Result<Answer, Refusal>,
}

/// Last offsets by topic and partition.
pub type Offsets = HashMap<(&'static str, i32), i64>;

/// A committed batch.
pub struct Committed {
    /// Everything in it.
    pub settled: Vec<Settled>,
    /// Last offsets that it wrote to the ledger topics.
    pub ledger: Offsets,
}

impl Committed {
    /// This batch and a later one.
    fn and(mut self, later: Self) -> Self {
        self.settled.extend(later.settled);
        self.ledger.extend(later.ledger);
        self
    }

    fn facts(&self) -> Vec<&Fact> {
        let settled = self.settled.iter();
        settled.flat_map(|settled| &settled.facts).collect()
    }
}

/// Writes facts into the tables.
pub struct Projection {
    store: Arc<OrderStore>,
}

impl Projection {
    /// Over these tables.
    pub fn new(store: Arc<OrderStore>) -> Self {
        Self { store }
    }

    /// Writes facts, however long the database is away: a committed fact is never given up.
    pub async fn write(&self, facts: Vec<&Fact>) {
        let (mut reserved, mut paid, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        let (mut versions, mut released) = (Vec::new(), Vec::new());
        for fact in facts {
            match fact {
                Fact::Reserved(order) => reserved.push(Arc::clone(order)),
                Fact::Confirmed(order) => paid.push(Arc::clone(order)),
                Fact::Expired(order) | Fact::Cancelled { order, .. } => ended.push(End::of(order)),
                Fact::Refunded(order) => ended.push(End::refunded(order)),
                Fact::Released(ticket) => released.push(ticket),
                Fact::PaymentFailed(failed) => versions.push(failed),
                // The refund's own entries are in checkout.state; the row does not change.
                Fact::RefundDue(_) | Fact::RefundMade { .. } => {}
            }
        }
        let versions = versions.into_iter().map(|failed| {
            let write = || {
                self.store
                    .write_version(failed.order_id, failed.version, failed.at)
            };
            until_written(write).boxed()
        });
        let released = released.into_iter().map(|ticket| {
            let write = || self.store.write_released(ticket);
            until_written(write).boxed()
        });
        let one_by_one = stream::iter(versions.chain(released).collect::<Vec<_>>())
            .buffer_unordered(WRITES_AT_ONCE)
            .collect::<()>();
        futures::join!(
            until_written(|| self.store.write_reserved(&reserved)),
            until_written(|| self.store.write_paid(&paid)),
            until_written(|| self.store.write_ended(&ended)),
            one_by_one,
        );
    }
}

/// What a record of the ledger says of the tables; `None` where it says nothing.
pub fn read_fact(datum: &Datum<'_>) -> Result<Option<Fact>, LedgerRecordError> {
    let record = match datum.name() {
        record::OrderReserved::NAME => FactRecord::Reserved(datum.read()?),
        record::OrderExpired::NAME => FactRecord::Expired(datum.read()?),
        record::OrderCancelled::NAME => FactRecord::Cancelled(datum.read()?),
        record::OrderRefunded::NAME => FactRecord::Refunded(datum.read()?),
        record::TicketReleased::NAME => FactRecord::Released(datum.read()?),
        record::PaymentConfirmed::NAME => FactRecord::Confirmed(datum.read()?),
        record::PaymentFailed::NAME => FactRecord::PaymentFailed(datum.read()?),
        _ => return Ok(None),
    };
    Ok(fact_in(record)?)
}

/// A record of the ledger that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerRecordError {
    /// Its bytes.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// What it says.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// [`read_fact`] for a takeover, which a record that cannot be read must not stop.
pub fn fact_of(datum: &Datum<'_>) -> Option<Fact> {
    read_fact(datum).unwrap_or_else(|error| {
        tracing::error!(%error, record = datum.name(), "ledger record not readable");
        None
    })
}

async fn until_written<F>(write: impl Fn() -> F)
where
    F: Future<Output = Result<(), CqlError>>,
{
    let mut wait = FIRST_RETRY;
    while let Err(error) = write().await {
        metrics::counter!("checkout_projection_retries_total").increment(1);
        tracing::warn!(%error, "rows wait for the database");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_RETRY);
    }
}

/// Takes committed batches until the engine has gone.
pub async fn run(
    batches: mpsc::Receiver<Committed>,
    projection: Arc<Projection>,
    box_office: Arc<BoxOffice>,
    offsets: Reader,
) {
    let batches = stream::unfold(batches, async |mut batches| {
        let mut waiting = Vec::with_capacity(BACKLOG);
        batches.recv_many(&mut waiting, BACKLOG).await;
        let together = waiting.into_iter().reduce(Committed::and);
        together.map(|batch| (batch, batches))
    });
    // Two at once, what comes meanwhile goes together: the slower the database, the larger the writes. Told in their
    // order, so that what is committed has no gaps.
    let written = batches
        .map(|batch| {
            if planted(Bug::OffsetBeforeEffect) {
                commit(&offsets, &mut batch.ledger.clone(), CommitMode::Sync);
            }
            settle(Arc::clone(&projection), Arc::clone(&box_office), batch)
        })
        .buffered(BATCHES_AT_ONCE);
    let mut written = std::pin::pin!(written);
    let mut done = Offsets::new();
    let mut tick = tokio::time::interval(COMMIT_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ledger = written.next() => match ledger {
                Some(ledger) => done.extend(ledger),
                None => break,
            },
            _ = tick.tick() => commit(&offsets, &mut done, CommitMode::Async),
        }
    }
    commit(&offsets, &mut done, CommitMode::Sync);
}

/// Writes a batch, answers whoever waits for it, and returns how far it goes.
async fn settle(
    projection: Arc<Projection>,
    box_office: Arc<BoxOffice>,
    batch: Committed,
) -> Offsets {
    if planted(Bug::OffsetBeforeEffect) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    projection.write(batch.facts()).await;
    for settled in batch.settled {
        if let Some(reply) = settled.reply {
            box_office.answer(reply.to.as_deref(), &reply.wish, reply.decided);
        }
    }
    batch.ledger
}

/// Says how far the tables are. Lost: the next owner writes a few rows again.
fn commit(offsets: &Reader, done: &mut Offsets, mode: CommitMode) {
    if done.is_empty() {
        return;
    }
    let committed = || -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), last) in &*done {
            list.add_partition_offset(topic, *partition, Offset::Offset(last + 1))?;
        }
        offsets.commit(&list, mode)
    };
    match committed() {
        Ok(()) => done.clear(),
        Err(error) => tracing::warn!(%error, "projection offsets not committed"),
    }
}
