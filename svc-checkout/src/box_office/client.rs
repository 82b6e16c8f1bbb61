//! The way into the box office: put a command on the topic, wait for its answer.

use std::sync::Arc;
use std::time::Duration;

use platform::avro::Encoder;
use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::ids::derived_id;
use platform::kafka::headers::RecordHeaders;
use platform::kafka::{client_config, partition_of};
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header};
use rdkafka::producer::{
    BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer,
};
use schemas::Record as _;
use schemas::checkout::CommandReply;
use schemas::topics;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::changelog::SOURCE;
use super::commands::CommandEncoders;
use super::reply_records::reply_out;
use super::waiters::{MAX_WAITING, Place, Reply, Room, Waiters, Wish};
use crate::domain::command::{Answer, Command, Refusal};

/// A client waits this long for the answer to a command; the command is worthless afterwards.
pub const COMMAND_DEADLINE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Decided: no. It had no effect.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too many commands wait here. It had no effect.
    #[error("too many commands wait")]
    Overloaded,
    /// No answer in time, or the broker did not say that it took the command: it may have had its effect or have it yet.
    #[error("no answer in time")]
    TimedOut,
    /// The same command of somebody who asked before was waited for, and has no answer yet: as with
    /// [`TimedOut`](Self::TimedOut) nobody knows.
    #[error("the same command is under way")]
    InProgress,
}

/// What a record was.
enum Sent {
    Command(Wish),
    Reply(Uuid),
}

struct CommandContext {
    waiters: Arc<Waiters>,
}

impl ClientContext for CommandContext {}

impl ProducerContext<NoCustomPartitioner> for CommandContext {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let Err((error, _)) = result else { return };
        match *sent {
            Sent::Command(wish) => {
                tracing::warn!(%error, command_id = %wish.command_id, "command not delivered");
                self.waiters.answer(&wish, &Reply::NotAcknowledged);
            }
            // The waiter times out and reads the order by its id.
            Sent::Reply(command_id) => tracing::warn!(%error, %command_id, "reply not delivered"),
        }
    }
}

/// Header of a command: the instance where its client waits.
pub const REPLY_TO: &str = "reply_to";

/// Submits commands, and answers those of others.
pub struct BoxOffice {
    producer: ThreadedProducer<CommandContext>,
    /// This instance: its clients wait here.
    instance: String,
    encoders: CommandEncoders,
    replies: Encoder<CommandReply>,
    waiters: Arc<Waiters>,
    partitions: i32,
}

impl BoxOffice {
    /// Connects lazily.
    pub fn new(
        brokers: &str,
        instance: &str,
        partitions: i32,
        encoders: CommandEncoders,
        replies: Encoder<CommandReply>,
        waiters: Arc<Waiters>,
    ) -> Result<Self, KafkaError> {
        let producer = client_config(brokers, instance)
            // A retry may write a command twice: the engine knows it by its id. With idempotence
            // librdkafka holds back what follows more than five unanswered messages of a partition,
            // and its thread spins meanwhile: a quarter of the service's CPU time under load.
            .set("enable.idempotence", "false")
            .set("acks", "all")
            // No waiting for company: while one request is on its way the next one fills.
            .set("linger.ms", "0")
            .set("max.in.flight.requests.per.connection", "1")
            // Nobody waits longer.
            .set(
                "delivery.timeout.ms",
                COMMAND_DEADLINE.as_millis().to_string(),
            )
            .create_with_context(CommandContext {
                waiters: Arc::clone(&waiters),
            })?;
        Ok(Self {
            producer,
            instance: instance.to_owned(),
            encoders,
            replies,
            waiters,
            partitions,
        })
    }

    /// Whether so many commands wait that one more would be turned away.
    pub fn is_full(&self) -> bool {
        self.waiters.len() >= MAX_WAITING
    }

    /// When a command that is sent now is worthless.
    pub fn not_after() -> Timestamp {
        Timestamp::now() + COMMAND_DEADLINE
    }

    /// Sends a command, unless the same one is on its way, and waits for the answer. When it
    /// comes, the order is in the tables.
    pub async fn submit(&self, command: &Command) -> Result<Answer, SubmitError> {
        let (receiver, unanswered) = match self.waiters.wait(Wish::of(command), Room::of(command)) {
            Place::Full => return Err(SubmitError::Overloaded),
            Place::Joined(receiver) => (receiver, SubmitError::InProgress),
            Place::First(receiver) => {
                self.send(command)?;
                (receiver, SubmitError::TimedOut)
            }
        };
        Self::await_reply(receiver, COMMAND_DEADLINE, unanswered).await
    }

    async fn await_reply(
        receiver: oneshot::Receiver<Reply>,
        deadline: Duration,
        unanswered: SubmitError,
    ) -> Result<Answer, SubmitError> {
        match tokio::time::timeout(deadline, receiver).await {
            Ok(Ok(Reply::Decided(decided))) => Ok(decided?),
            // The broker may have taken it all the same: its answer came too late, or not at all.
            Ok(Ok(Reply::NotAcknowledged) | Err(_)) | Err(_) => Err(unanswered),
        }
    }

    fn send(&self, command: &Command) -> Result<(), SubmitError> {
        let (payload, record_name) = self.encoders.encode(command);
        let event_id = command.event_id();
        let key = event_id.to_string();
        let context = RequestContext::current();
        let headers = RecordHeaders {
            id: command.id(),
            record_name,
            source: SOURCE,
            subject: &key,
            time: Timestamp::now(),
            traceparent: context.as_ref().map(RequestContext::traceparent),
        };
        let record = BaseRecord::with_opaque_to(
            topics::CHECKOUT_COMMANDS.name,
            Box::new(Sent::Command(Wish::of(command))),
        )
        .partition(partition_of(event_id, self.partitions))
        .key(&key)
        .payload(&payload)
        .headers(headers.to_owned_headers().insert(Header {
            key: REPLY_TO,
            value: Some(&self.instance),
        }));
        self.producer.send(record).map_err(|(error, _)| {
            tracing::warn!(%error, "command not queued");
            self.waiters
                .answer(&Wish::of(command), &Reply::NotAcknowledged);
            SubmitError::Overloaded
        })
    }

    /// Answers whoever waits at the instance `reply_to`; `None`: here. Called when the rows are written.
    pub fn answer(&self, reply_to: Option<&str>, wish: &Wish, decided: Result<Answer, Refusal>) {
        match reply_to.filter(|instance| *instance != self.instance) {
            Some(instance) => self.reply(instance, wish, &decided),
            None => self.waiters.answer(wish, &Reply::Decided(decided)),
        }
    }

    fn reply(&self, instance: &str, wish: &Wish, decided: &Result<Answer, Refusal>) {
        let command_id = wish.command_id;
        let payload = self.replies.encode(&reply_out(wish, decided));
        let subject = command_id.to_string();
        let headers = RecordHeaders {
            id: derived_id(command_id, &["reply", instance]),
            record_name: CommandReply::NAME,
            source: SOURCE,
            subject: &subject,
            time: Timestamp::now(),
            traceparent: None,
        };
        let record = BaseRecord::with_opaque_to(
            topics::CHECKOUT_REPLIES.name,
            Box::new(Sent::Reply(command_id)),
        )
        .partition(0)
        .key(instance)
        .payload(&payload)
        .headers(headers.to_owned_headers());
        if let Err((error, _)) = self.producer.send(record) {
            tracing::warn!(%error, %command_id, "reply not queued");
        }
    }

    /// Waits until every command has left. Blocks.
    pub fn flush(&self) {
        if let Err(error) = self.producer.flush(COMMAND_DEADLINE) {
            tracing::warn!(%error, "commands left unsent");
        }
    }
}
