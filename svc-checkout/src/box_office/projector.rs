//! Committed facts into the tables, then the answers to those who wait.
//!
//! Rows are written with the time of the decision as their timestamp, so that writing twice or
//! in another order ends in the same row.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use platform::avro::Datum;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::{Offset, error::KafkaError};
use schemas::Record as _;
use schemas::checkout as record;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::kafka::Reader;
use super::records::{FactRecord, fact_in};
use super::waiters::{Reply, Waiters};
use crate::domain::command::{Answer, Fact, Refusal};
use crate::store::orders::OrderStore;

/// Committed batches that wait for their rows, at most; then the engine decides no more.
pub const BACKLOG: usize = 16;
/// Orders whose rows are written at once.
const WRITES_AT_ONCE: usize = 512;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(2);
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// What one command or one expiry led to.
pub struct Settled {
    /// Facts to write.
    pub facts: Vec<Fact>,
    /// Whom to answer afterwards.
    pub reply: Option<(Uuid, Result<Answer, Refusal>)>,
    /// Trace context of the request, for the records that it caused.
    pub traceparent: Option<Arc<str>>,
}

/// A committed batch.
pub struct Committed {
    /// Everything in it.
    pub settled: Vec<Settled>,
    /// Last offsets that it wrote to the ledger topics.
    pub ledger: HashMap<(&'static str, i32), i64>,
}

/// Writes facts into the tables.
pub struct Projection {
    store: OrderStore,
}

impl Projection {
    /// Over these tables.
    pub fn new(store: OrderStore) -> Self {
        Self { store }
    }

    /// Writes a fact, however long the database is away: a committed fact is never given up.
    pub async fn write(&self, fact: &Fact) {
        let mut wait = FIRST_RETRY;
        loop {
            let written = match fact {
                Fact::Reserved(order) => self.store.write_reserved(order).await,
                Fact::Expired(order) => self.store.write_ended(order).await,
                Fact::Confirmed(order) => self.store.write_paid(order).await,
                Fact::PaymentFailed(failed) => {
                    self.store
                        .write_version(failed.order_id, failed.version, failed.at)
                        .await
                }
                // The refund's own entries are in checkout.state; the row does not change.
                Fact::RefundDue(_) | Fact::Refunded { .. } => Ok(()),
            };
            let Err(error) = written else { return };
            metrics::counter!("checkout_projection_retries_total").increment(1);
            tracing::warn!(%error, "row waits for the database");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_RETRY);
        }
    }

    /// Writes a record of the ledger; a record without a row is passed over.
    pub async fn write_record(&self, datum: &Datum<'_>) {
        let read = || -> Result<Option<Fact>, Box<dyn std::error::Error + Send + Sync>> {
            let record = match datum.name() {
                record::OrderReserved::NAME => FactRecord::Reserved(datum.read()?),
                record::OrderExpired::NAME => FactRecord::Expired(datum.read()?),
                record::PaymentConfirmed::NAME => FactRecord::Confirmed(datum.read()?),
                record::PaymentFailed::NAME => FactRecord::PaymentFailed(datum.read()?),
                _ => return Ok(None),
            };
            Ok(fact_in(record)?)
        };
        match read() {
            Ok(Some(fact)) => self.write(&fact).await,
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, record = datum.name(), "ledger record not readable");
            }
        }
    }
}

/// Takes committed batches in their order until the engine has gone.
pub async fn run(
    mut batches: mpsc::Receiver<Committed>,
    projection: Arc<Projection>,
    waiters: Arc<Waiters>,
    offsets: Reader,
) {
    let mut done: HashMap<(&'static str, i32), i64> = HashMap::new();
    let mut tick = tokio::time::interval(COMMIT_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            batch = batches.recv() => {
                let Some(batch) = batch else { break };
                futures::stream::iter(batch.settled)
                    .for_each_concurrent(WRITES_AT_ONCE, |settled| settle(&projection, &waiters, settled))
                    .await;
                done.extend(batch.ledger);
            }
            _ = tick.tick() => commit(&offsets, &mut done, CommitMode::Async),
        }
    }
    commit(&offsets, &mut done, CommitMode::Sync);
}

async fn settle(projection: &Projection, waiters: &Waiters, settled: Settled) {
    for fact in &settled.facts {
        projection.write(fact).await;
    }
    if let Some((command_id, decided)) = settled.reply {
        waiters.answer(command_id, &Reply::Decided(decided));
    }
}

/// Says how far the tables are. Lost: the next owner writes a few rows again.
fn commit(offsets: &Reader, done: &mut HashMap<(&'static str, i32), i64>, mode: CommitMode) {
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
