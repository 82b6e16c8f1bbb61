//! Kafka clients with the settings of the box office, written down a second time on purpose.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use platform::config::KafkaConfig;
use platform::ids::new_id;
use platform::kafka::client_config;
use rdkafka::ClientContext;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, NoCustomPartitioner, Producer as _, ProducerContext};

/// No call to Kafka may take longer.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// Name of the client, and the stem of its transactional ids.
pub(crate) const CLIENT_ID: &str = "ceiling";
const GROUP: &str = "bench-ceiling";

/// Remembers the first record that did not arrive.
#[derive(Default)]
pub(crate) struct Deliveries(Mutex<Option<KafkaError>>);

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| error.clone());
        }
    }
}

impl Deliveries {
    /// Whether all have arrived so far.
    pub(crate) fn check(&self) -> Result<(), KafkaError> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// The producer of all transactions.
pub(crate) type TransactionalProducer = BaseProducer<Deliveries>;

/// Ready for its first transaction.
pub(crate) fn transactional_producer(
    config: &KafkaConfig,
) -> Result<TransactionalProducer, KafkaError> {
    let producer: TransactionalProducer = client_config(&config.brokers, CLIENT_ID)
        .set("transactional.id", format!("{CLIENT_ID}-{}", new_id()))
        .set("transaction.timeout.ms", "10000")
        .set("acks", "all")
        .set("linger.ms", "0")
        .set("retry.backoff.ms", "2")
        .set("retry.backoff.max.ms", "100")
        .set("queue.buffering.max.messages", "500000")
        .create_with_context(Deliveries::default())?;
    producer.init_transactions(CALL_TIMEOUT)?;
    Ok(producer)
}

/// The member `name` of a group of its own, whose metadata the transactions need to send their offsets.
pub(crate) fn group_member(config: &KafkaConfig, name: &str) -> Result<BaseConsumer, KafkaError> {
    client_config(&config.brokers, CLIENT_ID)
        .set("group.id", format!("{GROUP}-{name}"))
        .set("group.protocol", "classic")
        .set("group.instance.id", CLIENT_ID)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "500")
        .set("max.poll.interval.ms", "10000")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "latest")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "10")
        .create()
}
