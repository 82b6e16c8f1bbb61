//! Committed facts into the tables, then the answers to those who wait.
//!
//! Rows are written with the time of the decision as their timestamp, so that writing twice or
//! in another order ends in the same row.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _, stream};
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
    let batches = batches.inspect(|batch| {
        if planted(Bug::OffsetBeforeEffect) {
            commit(&offsets, &mut batch.ledger.clone(), CommitMode::Sync);
        }
    });
    let written = written_and_answered(
        batches,
        |batch| write(Arc::clone(&projection), batch),
        |reply| box_office.answer(reply.to.as_deref(), &reply.wish, reply.decided),
    );
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

/// Writes batches, answers whoever waits for them, and tells how far each goes.
///
/// Two are written at once, and what comes meanwhile goes together: the slower the database, the larger the writes. They are
/// answered and told in their order: what is committed has no gaps, and an answer to a repeat, whose order may be in the
/// batch before, is not heard before its row is there.
fn written_and_answered<Written: Future<Output = Committed>>(
    batches: impl Stream<Item = Committed>,
    write: impl FnMut(Committed) -> Written,
    mut answer: impl FnMut(Reply),
) -> impl Stream<Item = Offsets> {
    let written = batches.map(write).buffered(BATCHES_AT_ONCE);
    written.map(move |batch| {
        let replies = batch.settled.into_iter().filter_map(|it| it.reply);
        replies.for_each(&mut answer);
        batch.ledger
    })
}

async fn write(projection: Arc<Projection>, batch: Committed) -> Committed {
    if planted(Bug::OffsetBeforeEffect) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    projection.write(batch.facts()).await;
    batch
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

#[cfg(test)]
mod tests {
    use super::*;
    use platform::ids::new_id;
    use tokio::sync::Notify;

    fn batch(wish: Wish, offset: i64) -> Committed {
        let reply = Reply {
            wish,
            to: None,
            decided: Ok(Answer::Nothing),
        };
        Committed {
            settled: vec![Settled {
                facts: Vec::new(),
                reply: Some(reply),
                traceparent: None,
            }],
            ledger: Offsets::from([(("checkout.orders", 0), offset)]),
        }
    }

    #[tokio::test]
    async fn a_batch_that_is_written_first_is_not_answered_before_the_one_before() {
        let wish = || Wish {
            command_id: new_id(),
            fingerprint: [0; 32],
        };
        let (first, second) = (wish(), wish());
        let second_is_written = Arc::new(Notify::new());
        let mut answered = Vec::new();
        let told: Vec<Offsets> = written_and_answered(
            stream::iter([batch(first, 1), batch(second, 2)]),
            |batch| {
                let second_is_written = Arc::clone(&second_is_written);
                async move {
                    if batch.ledger.values().any(|offset| *offset == 1) {
                        second_is_written.notified().await;
                    } else {
                        second_is_written.notify_one();
                    }
                    batch
                }
            },
            |reply| answered.push(reply.wish),
        )
        .collect()
        .await;
        assert_eq!(answered, [first, second]);
        let told: Vec<i64> = told.iter().flat_map(|it| it.values().copied()).collect();
        assert_eq!(told, [1, 2]);
    }
}
