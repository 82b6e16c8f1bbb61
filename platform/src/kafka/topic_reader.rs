//! Reading a topic to its end and, later, on to its new end: committed records only, as no member of any group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::timeout;

use super::watched::Watched;
use super::{ReaderContext, client_config};
use crate::avro::{Datum, Registry, RegistryError};
use crate::config::KafkaConfig;

/// A broker that sends nothing for this long is away.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a topic could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The broker refused.
    #[error("read {topic}")]
    Broker {
        /// The topic.
        topic: &'static str,
        /// Why.
        #[source]
        source: KafkaError,
    },
    /// The broker says nothing.
    #[error("the broker has sent nothing of {0} for half a minute")]
    Silent(&'static str),
    /// The registry is away.
    #[error("read {topic}")]
    Registry {
        /// The topic.
        topic: &'static str,
        /// Why.
        #[source]
        source: RegistryError,
    },
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Topic.
    pub topic: &'static str,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

/// A topic, and how far it has been read.
pub struct TopicReader {
    consumer: Watched<StreamConsumer<ReaderContext>>,
    registry: Registry,
    topic: &'static str,
    next: BTreeMap<i32, Offset>,
}

impl TopicReader {
    /// Partitions 0 to `partitions - 1` of a topic, from their first record. `client` names the reader at the broker.
    pub fn open(
        kafka: &KafkaConfig,
        registry: &Registry,
        client: &str,
        topic: &'static str,
        partitions: i32,
    ) -> Result<Self, ReadError> {
        let consumer: StreamConsumer<_> = client_config(&kafka.brokers, client)
            // The client wants a name even where no group is joined and nothing is committed.
            .set("group.id", client)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .create_with_context(ReaderContext)
            .map_err(|source| ReadError::Broker { topic, source })?;
        let consumer = Watched::consumer(&kafka.brokers, consumer)
            .map_err(|source| ReadError::Broker { topic, source })?;
        Ok(Self {
            consumer,
            registry: registry.clone(),
            topic,
            next: (0..partitions)
                .map(|partition| (partition, Offset::Beginning))
                .collect(),
        })
    }

    /// Hands over what is there now and was not handed over before; without a datum it is a tombstone. What cannot be
    /// decoded, or what `each` refuses, goes to `unreadable`. Returns how many records there were.
    ///
    /// The broker's errors end it, also those that its client would get over: what has an end must not wait for ever.
    pub async fn read_on(
        &mut self,
        mut each: impl AsyncFnMut(Place, Option<Datum<'_>>) -> Result<(), String>,
        unreadable: &mut Vec<String>,
    ) -> Result<u64, ReadError> {
        let topic = self.topic;
        let broker = |source| ReadError::Broker { topic, source };
        let mut assignment = TopicPartitionList::new();
        for (&partition, &offset) in &self.next {
            assignment
                .add_partition_offset(topic, partition, offset)
                .map_err(broker)?;
        }
        self.consumer.assign(&assignment).map_err(broker)?;
        let mut behind: BTreeSet<i32> = self.next.keys().copied().collect();
        let mut count = 0;
        while !behind.is_empty() {
            let received = timeout(PATIENCE, self.consumer.recv())
                .await
                .map_err(|_| ReadError::Silent(topic))?;
            let message = match received {
                Ok(message) => message,
                Err(KafkaError::PartitionEOF(partition)) => {
                    behind.remove(&partition);
                    continue;
                }
                Err(source) => return Err(broker(source)),
            };
            count += 1;
            let place = Place {
                topic,
                partition: message.partition(),
                offset: message.offset(),
            };
            let opened = match message.payload() {
                Some(payload) => {
                    let opened = self.registry.open(payload).await;
                    let opened = opened.map_err(|source| ReadError::Registry { topic, source })?;
                    opened.map(Some)
                }
                None => Ok(None),
            };
            let taken = match opened {
                Ok(datum) => each(place, datum).await,
                Err(error) => Err(error.to_string()),
            };
            if let Err(problem) = taken {
                unreadable.push(format!("{place}: {problem}"));
            }
            let next = Offset::Offset(place.offset + 1);
            self.next.insert(place.partition, next);
        }
        self.consumer.unassign().map_err(broker)?;
        Ok(count)
    }
}
