//! A producer for records that need no transaction.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use uuid::Uuid;

use super::partition_of;
use super::watched::Watched;

/// The broker has this long to take a record, retries included.
pub const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Whoever asks asks again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a record did not get to the broker.
#[derive(Debug, thiserror::Error)]
#[error("produce to {topic}")]
pub struct ProduceError {
    pub(crate) topic: String,
    #[source]
    pub(crate) source: KafkaError,
}

/// Produces with acks=all and idempotence. Cheap to clone.
#[derive(Clone)]
pub struct Producer {
    inner: Arc<Watched<FutureProducer>>,
}

impl Producer {
    /// Connects lazily: a broker that is away shows at the first send.
    pub fn new(brokers: &str, client_id: &str) -> Result<Self, KafkaError> {
        let inner: FutureProducer = super::client_config(brokers, client_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            .set(
                "delivery.timeout.ms",
                DELIVERY_TIMEOUT.as_millis().to_string(),
            )
            .create()?;
        let inner = Watched::producer(brokers, inner)?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Sends one record to the partition of `key` and waits until the broker has it.
    /// `payload` None is a tombstone.
    pub async fn send(
        &self,
        topic: &str,
        partitions: i32,
        key: Uuid,
        headers: OwnedHeaders,
        payload: Option<&[u8]>,
    ) -> Result<(), ProduceError> {
        let partition = partition_of(key, partitions);
        self.send_to(topic, partition, &key.to_string(), headers, payload)
            .await
    }

    /// Sends one record to an explicit partition.
    pub async fn send_to(
        &self,
        topic: &str,
        partition: i32,
        key: &str,
        headers: OwnedHeaders,
        payload: Option<&[u8]>,
    ) -> Result<(), ProduceError> {
        let failed = |source| ProduceError {
            topic: topic.to_owned(),
            source,
        };
        let mut record = FutureRecord::to(topic)
            .key(key)
            .partition(partition)
            .headers(headers);
        if let Some(payload) = payload {
            record = record.payload(payload);
        }
        // `send` would sleep 100 ms on a full queue; a full queue is overload and says so.
        let delivery = self
            .inner
            .send_result(record)
            .map_err(|(error, _)| failed(error))?;
        match delivery.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(failed(error)),
            Err(_) => Err(failed(KafkaError::Canceled)),
        }
    }

    /// Whether a broker answers, within a second.
    pub(super) async fn is_answered(&self) -> Result<(), KafkaError> {
        let producer = Arc::clone(&self.inner);
        // The client's call blocks.
        let asked = tokio::task::spawn_blocking(move || {
            producer.client().fetch_metadata(None, ANSWER_TIMEOUT)
        });
        asked.await.map_err(|_| KafkaError::Canceled)?.map(drop)
    }

    /// Waits until everything sent has arrived or failed. Blocks.
    pub fn flush(&self) -> Result<(), KafkaError> {
        self.inner.flush(DELIVERY_TIMEOUT)
    }
}
