//! The engine's Kafka clients. Every setting here closes a hole or was measured.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use platform::kafka::membership::Membership;
use platform::kafka::watched::Watched;
use platform::kafka::{ReaderContext, client_config};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, NoCustomPartitioner, ProducerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext};
use schemas::topics;

use super::{EngineConfig, GROUP, PROJECTION_GROUP};

/// Every blocking call to Kafka is shorter than this: the consumer must be polled at least
/// every [`MAX_POLL_INTERVAL`].
pub const CALL_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// The least that a broker allows by default: a dead owner is noticed after this time.
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
/// A rebalance waits for its members as long as [`MAX_POLL_INTERVAL`], and for one that then freezes, and has the share of
/// all to tell, as long as a session; then it begins anew. What the client says of itself is some seconds old.
const OUT_AT_MOST: Duration = Duration::from_secs(40);
/// A transaction that its owner left open holds readers back no longer than this.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// What the group has told this member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebalanceEvent {
    /// These partitions of checkout.commands are ours now.
    Assigned {
        /// Partitions of checkout.commands.
        partitions: Vec<i32>,
    },
    /// These are not any more. `lost`: another member may own them already.
    Revoked {
        /// Partitions of checkout.commands.
        partitions: Vec<i32>,
        /// Without a chance to commit.
        lost: bool,
    },
}

/// Records what the group says; the engine acts on it between two batches.
#[derive(Default)]
pub struct GroupContext {
    events: Mutex<Vec<RebalanceEvent>>,
    membership: Membership,
    closing: AtomicBool,
}

impl ClientContext for GroupContext {
    fn stats_raw(&self, statistics: &[u8]) {
        self.membership.hear(statistics);
    }
}

impl GroupContext {
    /// What was said since the last call.
    pub fn take_events(&self) -> Vec<RebalanceEvent> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether something was said.
    pub fn has_events(&self) -> bool {
        !self
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Whether the member has been out of its group for longer than any rebalance takes: it would stay there for ever.
    pub fn is_out(&self) -> bool {
        self.membership.out_for() > OUT_AT_MOST
    }

    /// From now on the context answers the group by itself: the engine polls no more.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::SeqCst) {
            // Nobody polls any more; without this the client's drop would wait for ever.
            if let Err(error) = unassign(consumer, &partitions_in(list)) {
                tracing::debug!(%error, "unassign while closing");
            }
            return;
        }
        // Nothing is ever read from checkout.drain: whoever has it need not know.
        let partitions = partitions_in(list);
        let event = match RDKafkaErrorCode::from(code) {
            RDKafkaErrorCode::AssignPartitions => RebalanceEvent::Assigned { partitions },
            // An error in a rebalance takes the assignment away like a loss.
            code => RebalanceEvent::Revoked {
                partitions,
                lost: code != RDKafkaErrorCode::RevokePartitions || consumer.assignment_lost(),
            },
        };
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event);
    }
}

/// The partitions of checkout.commands in a list of the group.
fn partitions_in(list: &TopicPartitionList) -> Vec<i32> {
    let elements = list.elements();
    let commands = elements
        .iter()
        .filter(|element| element.topic() == topics::CHECKOUT_COMMANDS.name);
    commands.map(|element| element.partition()).collect()
}

/// Tells the group that these partitions are given back. Those that were still being taken over are not assigned yet;
/// to unassign them would be an error, and the group would wait.
pub fn unassign<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &[i32],
) -> Result<(), KafkaError> {
    let topic = topics::CHECKOUT_COMMANDS.name;
    let assigned = consumer.assignment()?;
    let mut list = TopicPartitionList::new();
    for &partition in partitions {
        if assigned.find_partition(topic, partition).is_some() {
            list.add_partition(topic, partition);
        }
    }
    consumer.incremental_unassign(&list)
}

/// The group member that reads commands. Polled on the engine's thread only.
pub type GroupConsumer = Watched<BaseConsumer<GroupContext>>;

/// Joins the group of engines.
pub fn group_consumer(config: &EngineConfig) -> Result<GroupConsumer, KafkaError> {
    let consumer: BaseConsumer<_> =
        group_settings(config).create_with_context(GroupContext::default())?;
    Watched::consumer(&config.brokers, consumer)
}

fn group_settings(config: &EngineConfig) -> ClientConfig {
    let mut settings = client_config(&config.brokers, &config.instance_name);
    settings
        .set("group.id", GROUP)
        // librdkafka's transactions need the generation check of the classic protocol.
        .set("group.protocol", "classic")
        // A static member: metadata of a dynamic one that never joined was seen to commit
        // beside a live owner, and a process that restarts in place keeps its partitions.
        .set("group.instance.id", &config.instance_name)
        // Hand-over in half a second and no needless revoke.
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set(
            "session.timeout.ms",
            SESSION_TIMEOUT.as_millis().to_string(),
        )
        .set(
            "heartbeat.interval.ms",
            HEARTBEAT_INTERVAL.as_millis().to_string(),
        )
        .set(
            "max.poll.interval.ms",
            MAX_POLL_INTERVAL.as_millis().to_string(),
        )
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // The position is in checkout.state; group offsets are only the generation check.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "10")
        .set("fetch.error.backoff.ms", "50");
    Membership::ask(&mut settings);
    settings
}

/// How far the ledger topics were written, and whether a record was not.
#[derive(Default)]
pub struct DeliveryContext {
    failed: Mutex<Option<KafkaError>>,
    ledger: Mutex<HashMap<(&'static str, i32), i64>>,
}

impl ClientContext for DeliveryContext {}

impl ProducerContext<NoCustomPartitioner> for DeliveryContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                let ledger = [topics::CHECKOUT_ORDERS.name, topics::CHECKOUT_PAYMENTS.name];
                if let Some(topic) = ledger.into_iter().find(|name| *name == message.topic()) {
                    let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
                    let last = ledger.entry((topic, message.partition())).or_default();
                    *last = (*last).max(message.offset());
                }
            }
            Err((error, _)) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert_with(|| error.clone());
            }
        }
    }
}

impl DeliveryContext {
    /// The last offset per ledger topic and partition since the last call, or the first failure.
    pub fn take(&self) -> Result<HashMap<(&'static str, i32), i64>, KafkaError> {
        let ledger =
            std::mem::take(&mut *self.ledger.lock().unwrap_or_else(PoisonError::into_inner));
        match self
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            Some(error) => Err(error),
            None => Ok(ledger),
        }
    }
}

/// The engine's transactional producer.
pub type TransactionalProducer = Watched<BaseProducer<DeliveryContext>>;

/// A producer under a transactional id; not initialized yet.
pub fn transactional_producer(
    config: &EngineConfig,
    transactional_id: &str,
) -> Result<TransactionalProducer, KafkaError> {
    let producer: BaseProducer<_> = client_config(&config.brokers, &config.instance_name)
        .set("transactional.id", transactional_id)
        .set(
            "transaction.timeout.ms",
            TRANSACTION_TIMEOUT.as_millis().to_string(),
        )
        .set("acks", "all")
        .set("linger.ms", "0")
        // Transactions back to back meet CONCURRENT_TRANSACTIONS and are tried again after this.
        .set("retry.backoff.ms", "2")
        .set("retry.backoff.max.ms", "100")
        .set("queue.buffering.max.messages", "500000")
        .create_with_context(DeliveryContext::default())?;
    Watched::producer(&config.brokers, producer)
}

/// A client that reads without joining a group.
pub type Reader = Watched<BaseConsumer<ReaderContext>>;

/// A reader that joins no group: of state and of ledger tails.
pub fn reader(config: &EngineConfig, isolation: &str) -> Result<Reader, KafkaError> {
    let consumer: BaseConsumer<_> = client_config(&config.brokers, &config.instance_name)
        // Nobody joins it. Its offsets say how far the rows are: the projector, a takeover and a job commit them.
        .set("group.id", PROJECTION_GROUP)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .set("isolation.level", isolation)
        .set("fetch.wait.max.ms", "10")
        .create_with_context(ReaderContext)?;
    Watched::consumer(&config.brokers, consumer)
}

#[cfg(test)]
mod tests {
    use platform::kafka::membership::TOLD_EVERY;

    use super::*;

    /// What goes wrong without them is a matter of chance, or of seconds, and shows in no test.
    #[test]
    fn the_group_is_joined_with_what_was_measured() {
        let config = EngineConfig {
            brokers: "localhost:9092".to_owned(),
            event_partitions: 6,
            instance_name: "svc-checkout-7".to_owned(),
            hold_for: Duration::ZERO,
            remember_for: Duration::ZERO,
            max_batch: 1,
        };
        let settings = group_settings(&config);
        for (name, value) in [
            ("group.protocol", "classic"),
            ("group.instance.id", "svc-checkout-7"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "500"),
            ("max.poll.interval.ms", "10000"),
            ("enable.auto.commit", "false"),
            ("auto.offset.reset", "error"),
            ("isolation.level", "read_committed"),
        ] {
            assert_eq!(settings.get(name), Some(value), "{name}");
        }
        assert!(CALL_TIMEOUT < MAX_POLL_INTERVAL / 2);
        assert!(2 * MAX_POLL_INTERVAL + SESSION_TIMEOUT + 2 * TOLD_EVERY < OUT_AT_MOST);
    }
}
