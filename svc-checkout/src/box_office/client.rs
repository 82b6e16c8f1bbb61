//! The way into the box office: put a command on the topic, wait for its answer.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::kafka::headers::RecordHeaders;
use platform::kafka::{client_config, partition_of};
use rdkafka::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{
    BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer,
};
use schemas::topics;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::commands::CommandEncoders;
use super::waiters::{Place, Reply, Waiters};
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
    /// The broker did not take the command in time. It had no effect.
    #[error("the broker did not take the command")]
    NotSent,
    /// No answer in time: the command may have had its effect or have it yet.
    #[error("no answer in time")]
    TimedOut,
}

struct CommandContext {
    waiters: Arc<Waiters>,
}

impl ClientContext for CommandContext {}

impl ProducerContext<NoCustomPartitioner> for CommandContext {
    type DeliveryOpaque = Box<Uuid>;

    fn delivery(&self, result: &DeliveryResult<'_>, command_id: Box<Uuid>) {
        if let Err((error, _)) = result {
            tracing::warn!(%error, %command_id, "command not delivered");
            self.waiters.answer(*command_id, &Reply::NotSent);
        }
    }
}

/// Submits commands.
pub struct BoxOffice {
    producer: ThreadedProducer<CommandContext>,
    encoders: CommandEncoders,
    waiters: Arc<Waiters>,
    partitions: i32,
}

impl BoxOffice {
    /// Connects lazily.
    pub fn new(
        brokers: &str,
        client_id: &str,
        partitions: i32,
        encoders: CommandEncoders,
        waiters: Arc<Waiters>,
    ) -> Result<Self, KafkaError> {
        let producer = client_config(brokers, client_id)
            .set("enable.idempotence", "true")
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
            encoders,
            waiters,
            partitions,
        })
    }

    /// When a command that is sent now is worthless.
    pub fn not_after() -> Timestamp {
        Timestamp::now() + COMMAND_DEADLINE
    }

    /// Sends a command, unless the same one is on its way, and waits for the answer. When it
    /// comes, the order is in the tables.
    pub async fn submit(&self, command: &Command) -> Result<Answer, SubmitError> {
        let receiver = match self.waiters.wait(command.id()) {
            Place::Full => return Err(SubmitError::Overloaded),
            Place::Joined(receiver) => receiver,
            Place::First(receiver) => {
                self.send(command)?;
                receiver
            }
        };
        Self::answer(receiver, COMMAND_DEADLINE).await
    }

    /// Waits for the answer to a command that somebody else sends.
    pub async fn overhear(
        &self,
        command_id: Uuid,
        deadline: Duration,
    ) -> Result<Answer, SubmitError> {
        match self.waiters.wait(command_id) {
            Place::Full => Err(SubmitError::Overloaded),
            Place::Joined(receiver) | Place::First(receiver) => {
                Self::answer(receiver, deadline).await
            }
        }
    }

    async fn answer(
        receiver: oneshot::Receiver<Reply>,
        deadline: Duration,
    ) -> Result<Answer, SubmitError> {
        match tokio::time::timeout(deadline, receiver).await {
            Ok(Ok(Reply::Decided(decided))) => Ok(decided?),
            Ok(Ok(Reply::NotSent)) => Err(SubmitError::NotSent),
            Ok(Err(_)) | Err(_) => Err(SubmitError::TimedOut),
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
            source: "/svc-checkout",
            subject: &key,
            time: Timestamp::now(),
            traceparent: context.as_ref().map(RequestContext::traceparent),
        };
        let record =
            BaseRecord::with_opaque_to(topics::CHECKOUT_COMMANDS.name, Box::new(command.id()))
                .partition(partition_of(event_id, self.partitions))
                .key(&key)
                .payload(&payload)
                .headers(headers.to_owned_headers());
        self.producer.send(record).map_err(|(error, _)| {
            tracing::warn!(%error, "command not queued");
            self.waiters.answer(command.id(), &Reply::NotSent);
            SubmitError::Overloaded
        })
    }

    /// Waits until every command has left. Blocks.
    pub fn flush(&self) {
        if let Err(error) = self.producer.flush(COMMAND_DEADLINE) {
            tracing::warn!(%error, "commands left unsent");
        }
    }
}
