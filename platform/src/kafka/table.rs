//! A table topic in memory: every instance reads all of it from the beginning and then follows it.
//!
//! Without a group: no instance waits for another, and a restart reads everything anew. What the
//! caller keeps must not mind a record that comes twice or late: versions decide, not the order.

use std::collections::HashSet;
use std::future::Future;
use std::time::{Duration, Instant};

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::ReaderContext;
use super::watched::Watched;
use crate::avro::{Datum, DecodeError, Registry};
use crate::config::KafkaConfig;

/// How long a reader waits before it asks a registry again that was away.
const REGISTRY_PAUSE: Duration = Duration::from_secs(1);

/// How long the brokers are asked for a topic before the client waits for it on its own.
const INTRODUCTION_TIMEOUT: Duration = Duration::from_secs(1);

/// The table could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("read the table {topic}")]
pub struct TableError {
    topic: String,
    #[source]
    source: KafkaError,
}

/// The newest state of one key, or an older one on the way to it.
pub struct TableRecord<'a> {
    /// Source partition.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
    /// Key as text; empty when the record has none.
    pub key: &'a str,
    /// The state; `None` is a tombstone: the key is gone.
    pub datum: Option<Datum<'a>>,
}

/// Reads partitions 0 to `partitions - 1` of `topic` until `stop`, handing every record to `on_record`.
///
/// Sends `true` to `caught_up` once all that was there at the start has been handed over. A record that cannot be
/// decoded, or that `on_record` cannot, is logged, counted in `table_records_skipped_total` and skipped: one poisoned
/// record must not hide all others of the table. A broker or a registry that is away is waited for.
pub async fn read_table<F>(
    kafka: &KafkaConfig,
    registry: &Registry,
    topic: &str,
    partitions: i32,
    on_record: F,
    caught_up: &watch::Sender<bool>,
    stop: CancellationToken,
) -> Result<(), TableError>
where
    F: FnMut(&TableRecord<'_>) -> Result<(), DecodeError>,
{
    let began = Instant::now();
    let table_error = |source| TableError {
        topic: topic.to_owned(),
        source,
    };
    let consumer = introduce(open(kafka, topic).map_err(table_error)?, topic).await;
    assign(&consumer, topic, partitions).map_err(table_error)?;
    let reader = Reader {
        registry,
        topic,
        began,
        behind: (0..partitions).collect(),
        on_record,
        caught_up,
    };
    stop.run_until_cancelled(reader.follow(&consumer)).await;
    Ok(())
}

type TableConsumer = Watched<StreamConsumer<ReaderContext>>;

fn open(kafka: &KafkaConfig, topic: &str) -> Result<TableConsumer, KafkaError> {
    let name = format!("table-{topic}");
    let consumer: StreamConsumer<_> = super::client_config(&kafka.brokers, &name)
        // The client wants a name even where no group is joined and nothing is committed.
        .set("group.id", &name)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        // The end of a partition can lie behind markers of transactions, which are never delivered: only the client
        // knows that it has been reached.
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "100")
        .create_with_context(ReaderContext)?;
    Watched::consumer(&kafka.brokers, consumer)
}

/// Has the client hear of its topic: one that is assigned partitions before it knows who leads them looks for that again only
/// after half a second, and whoever needs the table waits as long. That the brokers are away is for the reading to say.
async fn introduce(consumer: TableConsumer, topic: &str) -> TableConsumer {
    let topic = topic.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        if let Err(error) = consumer.fetch_metadata(Some(&topic), INTRODUCTION_TIMEOUT) {
            tracing::debug!(%error, topic, "table does not know its topic yet");
        }
        consumer
    });
    match asked.await {
        Ok(consumer) => consumer,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn assign(consumer: &TableConsumer, topic: &str, partitions: i32) -> Result<(), KafkaError> {
    let mut all = TopicPartitionList::new();
    for partition in 0..partitions {
        all.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&all)
}

struct Reader<'a, F> {
    registry: &'a Registry,
    topic: &'a str,
    began: Instant,
    /// Partitions whose end was not reached yet.
    behind: HashSet<i32>,
    on_record: F,
    caught_up: &'a watch::Sender<bool>,
}

impl<F> Reader<'_, F>
where
    F: FnMut(&TableRecord<'_>) -> Result<(), DecodeError>,
{
    async fn follow(mut self, consumer: &TableConsumer) {
        let mut complaint = None;
        loop {
            match consumer.recv().await {
                Ok(message) => {
                    complaint = None;
                    if let Err(error) = self.take(&message).await {
                        self.skip(&message, &error);
                    }
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    if self.behind.remove(&partition) && self.behind.is_empty() {
                        let ms = u64::try_from(self.began.elapsed().as_millis());
                        tracing::info!(topic = self.topic, ms = ms.ok(), "table caught up");
                        self.caught_up.send_replace(true);
                    }
                }
                // The client reconnects by itself and says the same every second until it has.
                Err(error) if complaint.as_ref() == Some(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, topic = self.topic, "table");
                    complaint = Some(error);
                }
            }
        }
    }

    async fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<(), DecodeError> {
        let datum = match message.payload() {
            Some(payload) => Some(until_ok(|| self.registry.open(payload)).await?),
            None => None,
        };
        let key = std::str::from_utf8(message.key().unwrap_or_default());
        (self.on_record)(&TableRecord {
            partition: message.partition(),
            offset: message.offset(),
            key: key.map_err(|_| DecodeError::NotFramed)?,
            datum,
        })
    }

    fn skip(&self, message: &BorrowedMessage<'_>, error: &DecodeError) {
        let (partition, offset) = (message.partition(), message.offset());
        tracing::error!(%error, topic = self.topic, partition, offset, "record skipped");
        metrics::counter!("table_records_skipped_total", "topic" => self.topic.to_owned())
            .increment(1);
    }
}

/// Asks again until there is an answer: without the schema the record cannot be told from a broken one.
async fn until_ok<T, E, Fut>(mut ask: impl FnMut() -> Fut) -> T
where
    E: std::fmt::Display,
    Fut: Future<Output = Result<T, E>>,
{
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => tracing::warn!(%error, "table waits for the registry"),
        }
        tokio::time::sleep(REGISTRY_PAUSE).await;
    }
}
