//! Reading topics as any consumer of ours would: committed records only, Avro through the registry.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use platform::avro::Registry;
use platform::kafka::client_config;
use rdkafka::consumer::{BaseConsumer, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use schemas::Record;
use tokio::time::{Instant, timeout_at};

/// A broker on this machine answers at once.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// Reading a topic to its end must not take longer than this.
const READ_ALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Reads every partition of one topic, as no member of any group: it disturbs nobody and commits nothing.
pub struct Reader {
    consumer: StreamConsumer,
    brokers: String,
    registry: Registry,
    topic: String,
    partitions: usize,
}

/// A record as it lies in its topic.
#[derive(Clone)]
pub struct SeenRecord {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Key, empty when there is none.
    pub key: String,
    /// Full record name, such as `ticketing.checkout.OrderReserved`; empty for a tombstone, and for bytes that are no
    /// record: tests of poison run on the same topics.
    pub name: &'static str,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    payload: Vec<u8>,
    registry: Registry,
}

impl SeenRecord {
    /// Whether it is an `R`.
    pub fn is<R: Record>(&self) -> bool {
        self.name == R::NAME
    }

    /// Whether this text is in it, in whatever field.
    pub fn has(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.payload.windows(text.len()).any(|part| part == text)
    }

    /// Whether it says that there is nothing any more under its key.
    pub fn is_tombstone(&self) -> bool {
        self.payload.is_empty()
    }

    /// The record name without its namespace: `OrderReserved`.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or_default()
    }

    /// Reads it as `R`, whatever version of `R` it was written with.
    pub fn read<R: Record>(&self) -> anyhow::Result<R> {
        let datum = self
            .registry
            .open_known(&self.payload)
            .context("its schema was fetched")??;
        datum
            .read()
            .with_context(|| format!("{self} read as {}", R::NAME))
    }
}

impl fmt::Display for SeenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            partition,
            offset,
            key,
            ..
        } = self;
        let name = self.short_name();
        write!(
            f,
            "{name} on {topic}, partition {partition}, offset {offset}, key {key}"
        )
    }
}

impl fmt::Debug for SeenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}, headers {:?}", self.headers)
    }
}

impl Reader {
    /// From the first record of every partition.
    pub fn from_beginning(brokers: &str, registry: &str, topic: &str) -> anyhow::Result<Self> {
        Self::new(brokers, registry, topic, |_, _| Ok(Offset::Beginning))
    }

    /// From what is written after this call.
    pub fn from_now(brokers: &str, registry: &str, topic: &str) -> anyhow::Result<Self> {
        // The offsets are asked for here: `Offset::End` would be looked up some time later.
        Self::new(brokers, registry, topic, |consumer, partition| {
            let (_, end) = consumer.fetch_watermarks(topic, partition, METADATA_TIMEOUT)?;
            Ok(Offset::Offset(end))
        })
    }

    fn new(
        brokers: &str,
        registry: &str,
        topic: &str,
        start: impl Fn(&StreamConsumer, i32) -> anyhow::Result<Offset>,
    ) -> anyhow::Result<Self> {
        let consumer: StreamConsumer = client_config(brokers, "e2e")
            // The library wants a name even where no group is joined.
            .set("group.id", "e2e")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50")
            .create()?;
        let metadata = consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT)?;
        let partitions = metadata
            .topics()
            .first()
            .map_or(0, |topic| topic.partitions().len());
        anyhow::ensure!(partitions > 0, "there is no topic {topic}");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions)? {
            assignment.add_partition_offset(topic, partition, start(&consumer, partition)?)?;
        }
        consumer.assign(&assignment)?;
        Ok(Self {
            consumer,
            brokers: brokers.to_owned(),
            registry: Registry::new(registry)?,
            topic: topic.to_owned(),
            partitions,
        })
    }

    /// Reads on until a record fits.
    pub async fn wait_for(
        &mut self,
        what: &str,
        deadline: Duration,
        fits: impl Fn(&SeenRecord) -> bool,
    ) -> anyhow::Result<SeenRecord> {
        let end = Instant::now() + deadline;
        loop {
            let next = timeout_at(end, self.next()).await.map_err(|_| {
                anyhow!(
                    "waited {} s for {what} on {}",
                    deadline.as_secs(),
                    self.topic
                )
            })?;
            if let Next::Record(record) = next?
                && fits(&record)
            {
                return Ok(*record);
            }
        }
    }

    /// Reads the first `R` with this key.
    pub async fn wait_for_key<R: Record>(
        &mut self,
        key: impl fmt::Display,
        deadline: Duration,
    ) -> anyhow::Result<(SeenRecord, R)> {
        let key = key.to_string();
        let what = format!("{} of {key}", R::NAME);
        let seen = self
            .wait_for(&what, deadline, |record| {
                record.is::<R>() && record.key == key
            })
            .await?;
        let record = seen.read()?;
        Ok((seen, record))
    }

    /// Everything to the end that readers of committed records see at this time. It wants a fresh reader, for the end
    /// is told once.
    pub(crate) async fn read_to_end(self) -> anyhow::Result<Vec<SeenRecord>> {
        let end = Instant::now() + READ_ALL_TIMEOUT;
        let mut ended = vec![false; self.partitions];
        let mut records = Vec::new();
        while !ended.iter().all(|ended| *ended) {
            let next = timeout_at(end, self.next())
                .await
                .map_err(|_| anyhow!("{} has no end within a minute", self.topic))?;
            match next? {
                Next::Record(record) => records.push(*record),
                Next::End(partition) => ended[usize::try_from(partition)?] = true,
            }
        }
        Ok(records)
    }

    /// Partitions with records that readers of committed records do not get yet, because a transaction is open, and how
    /// many these are.
    pub fn behind_open_transactions(&self) -> anyhow::Result<Vec<(i32, i64)>> {
        let of_uncommitted: BaseConsumer = client_config(&self.brokers, "e2e")
            .set("isolation.level", "read_uncommitted")
            .create()?;
        let mut behind = Vec::new();
        for partition in 0..i32::try_from(self.partitions)? {
            // A reader of committed records is told the stable offset where others are told the end.
            let (_, stable) =
                self.consumer
                    .fetch_watermarks(&self.topic, partition, METADATA_TIMEOUT)?;
            let (_, end) =
                of_uncommitted.fetch_watermarks(&self.topic, partition, METADATA_TIMEOUT)?;
            if stable < end {
                behind.push((partition, end - stable));
            }
        }
        Ok(behind)
    }

    async fn next(&self) -> anyhow::Result<Next> {
        match self.consumer.recv().await {
            Ok(message) => Ok(Next::Record(Box::new(self.look_at(&message).await?))),
            Err(KafkaError::PartitionEOF(partition)) => Ok(Next::End(partition)),
            Err(error) => Err(anyhow!(error).context(format!("read {}", self.topic))),
        }
    }

    async fn look_at(&self, message: &BorrowedMessage<'_>) -> anyhow::Result<SeenRecord> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = match message.payload() {
            Some(payload) => self
                .registry
                .open(payload)
                .await?
                .map_or("", |datum| datum.name()),
            None => "",
        };
        let headers = message
            .headers()
            .into_iter()
            .flat_map(|headers| headers.iter());
        Ok(SeenRecord {
            topic: self.topic.clone(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(text).unwrap_or_default(),
            name,
            headers: headers
                .map(|header| {
                    (
                        header.key.to_owned(),
                        header.value.map(text).unwrap_or_default(),
                    )
                })
                .collect(),
            payload: message.payload().unwrap_or_default().to_vec(),
            registry: self.registry.clone(),
        })
    }
}

enum Next {
    Record(Box<SeenRecord>),
    End(i32),
}
