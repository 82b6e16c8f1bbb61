//! A consumer group that moves its offset only behind finished work.
//!
//! Every partition is a lane: its records are handled one at a time and in order, or some of
//! different keys at once where that was asked for; the lanes at once. An offset is stored after
//! its record and all before it were handled, so a crash repeats work and never skips it;
//! handlers are idempotent.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::Abortable;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _, OwnedMessage};
use rdkafka::{ClientContext, TopicPartitionList};
use schemas::dead::DeadLetter;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::dead_letters::DeadLetters;
use super::lane::{Begun, Lane};
use super::membership::Membership;
use super::producer::Producer;
use super::watched::Watched;
use crate::avro::{Datum, DecodeError, Registry, RegistryError};
use crate::config::KafkaConfig;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// A leaving consumer gives the records in hand this long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often to look whether the client is in its group.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What became of a record.
#[derive(Debug)]
pub enum Outcome {
    /// Handled, or nothing to do.
    Done,
    /// A neighbour is away or another topic is behind: the lane waits and tries again. Other records in hand go on, and
    /// none is begun.
    Retry(String),
    /// No retry helps: the record goes to the dead letter topic.
    Dead(String),
}

impl From<DecodeError> for Outcome {
    fn from(error: DecodeError) -> Self {
        Outcome::Dead(error.to_string())
    }
}

/// One record.
pub struct Incoming<'a> {
    /// Source topic.
    pub topic: &'a str,
    /// Source partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Key as text; empty when the record has none.
    pub key: &'a str,
    /// The record; `None` is a tombstone.
    pub datum: Option<Datum<'a>>,
    /// W3C trace context.
    pub traceparent: Option<&'a str>,
}

/// Handles the records of some topics.
pub trait Handler: Send + Sync + 'static {
    /// Must be idempotent: a record comes again after a crash or a rebalance.
    fn handle(&self, record: &Incoming<'_>) -> impl Future<Output = Outcome> + Send;
}

/// What to consume, as whom.
#[derive(Debug, Clone)]
pub struct ConsumerSpec {
    /// Consumer group.
    pub group: String,
    /// Topics to subscribe to.
    pub topics: Vec<&'static str>,
    /// The records are personal or bear secrets: a dead letter leaves the payload out.
    pub personal: bool,
    /// Records of one partition that may be in hand at a time, at least 1: the order of the partition. With more it is
    /// the order of each key, and nobody may need another one.
    pub at_once: usize,
    /// A client that is out of its group for longer is given up, and a new one joins.
    pub out_at_most: Duration,
}

/// [`ConsumerSpec::out_at_most`] of services: longer than a session, a rebalance and two of what the client says of
/// itself take, shorter than people wait for a mail.
pub const OUT_AT_MOST: Duration = Duration::from_secs(45);

/// Why a consumer could not start.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// Kafka's client refused.
    #[error("consumer group {group}")]
    Kafka {
        /// The group.
        group: String,
        /// Why.
        #[source]
        source: KafkaError,
    },
    /// The dead letter schema could not be registered.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

type LaneId = (String, i32);
type Work<'a> = Abortable<Pin<Box<dyn Future<Output = (LaneId, i64)> + Send + 'a>>>;

/// Tells of the partitions that are taken away, and whether the client is in its group.
struct Context {
    revoked: mpsc::UnboundedSender<LaneId>,
    membership: Membership,
}

impl ClientContext for Context {
    fn stats_raw(&self, statistics: &[u8]) {
        self.membership.hear(statistics);
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            for element in partitions.elements() {
                let id = (element.topic().to_owned(), element.partition());
                // Nobody listens when the consumer is closed.
                let _ = self.revoked.send(id);
            }
        }
    }
}

/// Consumes until `stop`, handing every record to `handler`.
pub async fn run<H: Handler>(
    kafka: &KafkaConfig,
    registry: &Registry,
    spec: ConsumerSpec,
    handler: Arc<H>,
    stop: CancellationToken,
) -> Result<(), ConsumerError> {
    let failed = |source| ConsumerError::Kafka {
        group: spec.group.clone(),
        source,
    };
    let letters = DeadLetters {
        group: spec.group.clone(),
        personal: spec.personal,
        producer: Producer::new(&kafka.brokers, &spec.group).map_err(failed)?,
        encoder: registry.register_on::<DeadLetter>("dead").await?,
    };
    let run = Run {
        registry,
        handler: &*handler,
        letters: &letters,
        at_once: spec.at_once,
        out_at_most: spec.out_at_most,
    };
    let (mut consumer, mut revoked) = joined(kafka, &spec).map_err(failed)?;
    loop {
        match run.lanes(&consumer, revoked, &stop).await {
            End::Stopped => return Ok(()),
            End::Out => {
                metrics::counter!("consumer_clients_given_up_total", "group" => spec.group.clone())
                    .increment(1);
                tracing::error!(
                    group = spec.group,
                    out_for = ?spec.out_at_most,
                    "the client does not come back to its group: a new one joins"
                );
                // To close it may take long, and nobody waits for it, not even the end of the process.
                std::thread::spawn(move || drop(consumer));
                let next = tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    next = joined_again(kafka, &spec, &letters.producer) => next,
                };
                (consumer, revoked) = next;
            }
        }
    }
}

/// A client in place of one that was given up, once there is a broker that answers: else it would be given up like that one,
/// and another one, for as long as Kafka is away.
async fn joined_again(
    kafka: &KafkaConfig,
    spec: &ConsumerSpec,
    producer: &Producer,
) -> (
    Watched<StreamConsumer<Context>>,
    mpsc::UnboundedReceiver<LaneId>,
) {
    loop {
        let answers = producer.is_answered().await;
        match answers.and_then(|()| joined(kafka, spec)) {
            Ok(next) => return next,
            Err(error) => tracing::warn!(%error, group = spec.group, "no new client yet"),
        }
        tokio::time::sleep(FIRST_RETRY).await;
    }
}

/// A client that is about to join the group, and what is taken away from it.
fn joined(
    kafka: &KafkaConfig,
    spec: &ConsumerSpec,
) -> Result<
    (
        Watched<StreamConsumer<Context>>,
        mpsc::UnboundedReceiver<LaneId>,
    ),
    KafkaError,
> {
    let mut config = super::client_config(&kafka.brokers, &spec.group);
    Membership::ask(&mut config);
    config
        .set("group.id", &spec.group)
        .set("group.protocol", "classic")
        .set("partition.assignment.strategy", "cooperative-sticky")
        // A member that was killed is missed after 10 s, not after the default of 45 s.
        .set("session.timeout.ms", "10000")
        .set("heartbeat.interval.ms", "1000")
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", "read_committed")
        // Stored by us after the work, committed by the client every second and at the end.
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "1000")
        .set("fetch.wait.max.ms", "100");
    let (revoked, revocations) = mpsc::unbounded_channel();
    let consumer: StreamConsumer<Context> = config.create_with_context(Context {
        revoked,
        membership: Membership::default(),
    })?;
    let consumer = Watched::consumer(&kafka.brokers, consumer)?;
    consumer.subscribe(&spec.topics)?;
    Ok((consumer, revocations))
}

/// Why a client is used no more.
enum End {
    /// Asked to.
    Stopped,
    /// It is out of its group for too long.
    Out,
}

struct Run<'a, H> {
    registry: &'a Registry,
    handler: &'a H,
    letters: &'a DeadLetters,
    at_once: usize,
    out_at_most: Duration,
}

impl<H: Handler> Run<'_, H> {
    async fn lanes(
        &self,
        consumer: &StreamConsumer<Context>,
        mut revoked: mpsc::UnboundedReceiver<LaneId>,
        stop: &CancellationToken,
    ) -> End {
        let mut lanes: HashMap<LaneId, Lane> = HashMap::new();
        let mut work: FuturesUnordered<Work<'_>> = FuturesUnordered::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        let end = loop {
            tokio::select! {
                () = stop.cancelled() => break End::Stopped,
                _ = look.tick() => {
                    if consumer.context().membership.out_for() > self.out_at_most {
                        break End::Out;
                    }
                }
                Some(id) = revoked.recv() => leave(consumer, &mut lanes, &id),
                received = consumer.recv() => {
                    // They come while we wait for a record, which may be the first one of a partition that was taken
                    // away and has come back: it is not of the lane that was left.
                    while let Ok(id) = revoked.try_recv() {
                        leave(consumer, &mut lanes, &id);
                    }
                    match received {
                        Ok(message) => {
                            let id = (message.topic().to_owned(), message.partition());
                            let lane = lanes.entry(id).or_insert_with(|| Lane::new(self.at_once));
                            lane.push(message.detach());
                        }
                        // The client reconnects by itself; what it says is worth a line.
                        Err(error) => tracing::warn!(%error, "consumer"),
                    }
                }
                Some(settled) = work.next() => {
                    if let Ok((id, offset)) = settled {
                        finish(consumer, &mut lanes, &id, offset);
                    }
                }
            }
            for (id, lane) in &mut lanes {
                while let Some(begun) = lane.begin() {
                    let Begun {
                        message,
                        retries,
                        abort,
                    } = begun;
                    let settled = self.settle(id.clone(), message, retries).boxed();
                    work.push(Abortable::new(settled, abort));
                }
                if let Some(paused) = lane.pause() {
                    set_paused(consumer, id, paused);
                }
            }
        };
        let drain = async {
            while let Some(settled) = work.next().await {
                if let Ok((id, offset)) = settled {
                    finish(consumer, &mut lanes, &id, offset);
                }
            }
        };
        // What does not finish is handled again by the next member.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, drain).await;
        end
    }

    /// Handles one record to its end: done or dead.
    async fn settle(
        &self,
        id: LaneId,
        message: OwnedMessage,
        retries: Arc<AtomicBool>,
    ) -> (LaneId, i64) {
        let offset = message.offset();
        let mut wait = FIRST_RETRY;
        loop {
            let reason = match self.attempt(&message).await {
                Outcome::Done => {
                    metrics::counter!("records_consumed_total", "topic" => id.0.clone(), "outcome" => "done").increment(1);
                    return (id, offset);
                }
                Outcome::Retry(reason) => reason,
                Outcome::Dead(reason) => match self.letters.send(&message, &reason).await {
                    Ok(()) => {
                        metrics::counter!("records_consumed_total", "topic" => id.0.clone(), "outcome" => "dead").increment(1);
                        return (id, offset);
                    }
                    Err(error) => format!("dead letter: {error}"),
                },
            };
            retries.store(true, Ordering::Relaxed);
            tracing::warn!(
                topic = id.0,
                partition = id.1,
                offset,
                reason,
                "record waits"
            );
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_RETRY);
        }
    }

    async fn attempt(&self, message: &OwnedMessage) -> Outcome {
        let datum = match message.payload() {
            None => None,
            Some(payload) => match self.registry.open(payload).await {
                Ok(Ok(datum)) => Some(datum),
                Ok(Err(error)) => return error.into(),
                Err(error) => return Outcome::Retry(error.to_string()),
            },
        };
        let Ok(key) = std::str::from_utf8(message.key().unwrap_or_default()) else {
            return Outcome::Dead("the key is not text".into());
        };
        let traceparent = message.headers().and_then(|headers| {
            headers
                .iter()
                .find(|header| header.key == "traceparent")
                .and_then(|header| std::str::from_utf8(header.value?).ok())
        });
        self.handler
            .handle(&Incoming {
                topic: message.topic(),
                partition: message.partition(),
                offset: message.offset(),
                key,
                datum,
                traceparent,
            })
            .await
    }
}

fn finish(
    consumer: &StreamConsumer<Context>,
    lanes: &mut HashMap<LaneId, Lane>,
    id: &LaneId,
    offset: i64,
) {
    let Some(lane) = lanes.get_mut(id) else {
        return; // revoked meanwhile; the new owner handles the record again
    };
    let Some(offset) = lane.end(offset) else {
        return; // one before it is not done
    };
    if let Err(error) = consumer.store_offset(&id.0, id.1, offset) {
        tracing::debug!(%error, topic = id.0, partition = id.1, offset, "offset not stored");
    }
}

/// The partition is another member's now.
fn leave(consumer: &StreamConsumer<Context>, lanes: &mut HashMap<LaneId, Lane>, id: &LaneId) {
    let paused = lanes.remove(id).is_some_and(Lane::leave);
    if paused {
        // The client remembers it beyond the assignment: a partition that comes back would stay silent.
        set_paused(consumer, id, false);
    }
}

fn set_paused(consumer: &StreamConsumer<Context>, id: &LaneId, paused: bool) {
    let mut list = TopicPartitionList::new();
    list.add_partition(&id.0, id.1);
    let result = if paused {
        consumer.pause(&list)
    } else {
        consumer.resume(&list)
    };
    if let Err(error) = result {
        tracing::debug!(%error, topic = id.0, partition = id.1, paused, "lane");
    }
}
