//! The way into the box office: put a command on the topic, wait for its answer.

use std::sync::Arc;
use std::time::Duration;

use platform::avro::Encoder;
use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::ids::derived_id;
use platform::kafka::headers::RecordHeaders;
use platform::kafka::watched::Watched;
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
use tokio::time::{Instant, timeout_at};
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
    producer: Watched<ThreadedProducer<CommandContext>>,
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
        let producer: ThreadedProducer<_> = client_config(brokers, instance)
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
        let producer = Watched::producer(brokers, producer)?;
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
        let (wish, room) = (Wish::of(command), Room::of(command));
        ask(&self.waiters, wish, room, COMMAND_DEADLINE, || {
            self.send(command)
        })
        .await
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

/// Waits `patience` for the answer to a wish that `send` sends.
async fn ask(
    waiters: &Waiters,
    wish: Wish,
    room: Room,
    patience: Duration,
    send: impl Fn() -> Result<(), SubmitError>,
) -> Result<Answer, SubmitError> {
    let until = Instant::now() + patience;
    let mut has_joined = false;
    loop {
        let (receiver, is_first) = match waiters.wait(wish, room) {
            Place::Joined(receiver) => (receiver, false),
            Place::First(receiver) => match send() {
                Ok(()) => (receiver, true),
                // That of before, which this one had joined, may have had its effect.
                Err(_) if has_joined => return Err(SubmitError::TimedOut),
                Err(error) => return Err(error),
            },
            Place::Full if has_joined => return Err(SubmitError::TimedOut),
            Place::Full => return Err(SubmitError::Overloaded),
        };
        has_joined |= !is_first;
        match timeout_at(until, receiver).await {
            Ok(Ok(Reply::Decided(decided))) => return Ok(decided?),
            Err(_) if has_joined => return Err(SubmitError::InProgress),
            Err(_) => return Err(SubmitError::TimedOut),
            // The broker may have taken it all the same: its answer came too late, or not at all.
            Ok(Ok(Reply::NotAcknowledged) | Err(_)) if is_first => {
                return Err(SubmitError::TimedOut);
            }
            // Nothing is under way any more, and whoever joined late has time left: one of those who did sends it again.
            Ok(Ok(Reply::NotAcknowledged) | Err(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use platform::ids::new_id;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    struct Scene {
        waiters: Waiters,
        wish: Wish,
        sent: AtomicU32,
    }

    impl Scene {
        fn new() -> Self {
            Self {
                waiters: Waiters::default(),
                wish: Wish {
                    command_id: new_id(),
                    fingerprint: [0; 32],
                },
                sent: AtomicU32::new(0),
            }
        }

        /// How it comes out, and how long it took.
        async fn ask(&self) -> (Result<Answer, SubmitError>, Duration) {
            let started = Instant::now();
            let send = || {
                self.sent.fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            let asked = ask(&self.waiters, self.wish, Room::Wishes, PATIENCE, send);
            (asked.await, started.elapsed())
        }

        fn answer(&self, reply: &Reply) {
            self.waiters.answer(&self.wish, reply);
        }
    }

    #[tokio::test]
    async fn a_repeat_is_told_that_it_is_under_way_after_its_own_patience_and_not_sooner() {
        let scene = Scene::new();
        let not_acknowledged = async { scene.answer(&Reply::NotAcknowledged) };
        let (first, second, ()) = futures::join!(scene.ask(), scene.ask(), not_acknowledged);
        let (first, took) = first;
        assert_eq!(first, Err(SubmitError::TimedOut));
        assert!(took < PATIENCE, "nobody knows, and waiting would not tell");
        let (second, took) = second;
        assert_eq!(second, Err(SubmitError::InProgress));
        assert!(took >= PATIENCE, "{took:?}");
        // For the rest of its time it was under way again.
        assert_eq!(scene.sent.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_repeat_whose_first_got_lost_has_the_answer_of_its_own() {
        let scene = Scene::new();
        let lost_and_answered = async {
            scene.answer(&Reply::NotAcknowledged);
            while scene.sent.load(Ordering::SeqCst) < 2 {
                tokio::task::yield_now().await;
            }
            scene.answer(&Reply::Decided(Ok(Answer::Nothing)));
        };
        let (_, (second, _), ()) = futures::join!(scene.ask(), scene.ask(), lost_and_answered);
        assert_eq!(second, Ok(Answer::Nothing));
    }

    #[tokio::test]
    async fn where_the_second_cannot_be_sent_nobody_is_told_that_nothing_has_happened() {
        let scene = Scene::new();
        let full = || Err(SubmitError::Overloaded);
        let repeat = ask(&scene.waiters, scene.wish, Room::Wishes, PATIENCE, full);
        let not_acknowledged = async { scene.answer(&Reply::NotAcknowledged) };
        let (_, repeat, ()) = futures::join!(scene.ask(), repeat, not_acknowledged);
        assert_eq!(repeat, Err(SubmitError::TimedOut));
        let alone = ask(&scene.waiters, scene.wish, Room::Wishes, PATIENCE, full);
        assert_eq!(alone.await, Err(SubmitError::Overloaded));
    }
}
