//! One life of the engine: one membership of the group, one transactional producer. After any
//! indefinite error it ends and the next one rebuilds everything from the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use platform::kafka::partition_of;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::Producer as _;
use schemas::topics;

use super::Engine;
use super::batch::Incoming;
use super::recount::Recount;
use super::stopped::Stopped;
use super::taking_over::{Pending, tell_late};
use crate::box_office::client::REPLY_TO;
use crate::box_office::commands::{self, CommandError};
use crate::box_office::kafka::{
    CALL_TIMEOUT, GroupConsumer, TransactionalProducer, group_consumer, transactional_producer,
};
use crate::box_office::partition::Partition;
use crate::box_office::projector::RESERVE;
use crate::domain::event_book::Inventory;

/// Without commands the engine looks this often at inventory, time and takeovers.
const IDLE_POLL: Duration = Duration::from_millis(10);
/// A batch is closed after this time even when more commands keep coming.
const GATHER_FOR: Duration = Duration::from_millis(4);

/// As long as the rows of some hundred orders take.
const GATHER_WHILE_BEHIND_FOR: Duration = Duration::from_millis(50);
const BEHIND_POLL: Duration = Duration::from_millis(2);
/// Six heartbeats.
const FENCE_IS_TOLD_WITHIN: Duration = Duration::from_secs(3);

/// Why an incarnation ended.
pub(super) enum Exit {
    /// Asked to; its partitions are handed over.
    Stopped,
    /// Something broke: start again.
    Rebuild(String),
    /// Another member has the instance name.
    Fenced,
}

pub(super) fn rebuild(what: &str, error: &KafkaError) -> Exit {
    Exit::Rebuild(format!("{what}: {error}"))
}

pub(super) struct Incarnation<'a> {
    pub(super) engine: &'a Engine,
    pub(super) consumer: GroupConsumer,
    pub(super) producer: TransactionalProducer,
    /// The producer's transactional id, which stands as owner in every position.
    pub(super) owner: String,
    pub(super) partitions: BTreeMap<i32, Partition>,
    pub(super) stopped: Stopped,
    recount: Recount,
    /// What the group has given to this member and not taken back, whether it sells there, is reading, or has stopped.
    pub(super) given: BTreeSet<i32>,
    /// Takeovers on their way: of the last share, and of partitions of earlier ones whose rows are not all written.
    pub(super) takeovers: Vec<Pending>,
    /// Whether the group was asked to assign anew since this incarnation joined.
    pub(super) asked_anew: bool,
    /// Inventory that no batch has applied yet.
    pub(super) inventory: BTreeMap<i32, Vec<Arc<Inventory>>>,
    /// Whether the group has nothing more for this member, which is leaving.
    pub(super) drained: bool,
}

impl<'a> Incarnation<'a> {
    pub(super) fn new(engine: &'a Engine) -> Result<Self, Exit> {
        // A new id for every producer: a fence hits one incarnation only.
        let owner = format!(
            "{}-{}",
            engine.config.instance_name,
            platform::ids::new_id()
        );
        let producer = transactional_producer(&engine.config, &owner)
            .map_err(|error| rebuild("producer", &error))?;
        producer
            .init_transactions(CALL_TIMEOUT)
            .map_err(|error| rebuild("init transactions", &error))?;
        let consumer =
            group_consumer(&engine.config).map_err(|error| rebuild("consumer", &error))?;
        consumer
            .subscribe(&[topics::CHECKOUT_COMMANDS.name, topics::CHECKOUT_DRAIN.name])
            .map_err(|error| rebuild("subscribe", &error))?;
        Ok(Self {
            engine,
            consumer,
            producer,
            owner,
            partitions: BTreeMap::new(),
            stopped: Stopped::default(),
            recount: Recount::default(),
            given: BTreeSet::new(),
            takeovers: Vec::new(),
            asked_anew: false,
            inventory: BTreeMap::new(),
            drained: false,
        })
    }

    pub(super) fn run(mut self) -> Exit {
        loop {
            if self.engine.stop.is_cancelled() {
                break self.hand_over().err().unwrap_or(Exit::Stopped);
            }
            if let Err(exit) = self.turn() {
                break exit;
            }
        }
    }

    /// One round: gather, rebalance, decide, commit.
    pub(super) fn turn(&mut self) -> Result<(), Exit> {
        // What is taken over is finished first: another client would have to begin anew.
        if !self.owes_an_answer() && self.consumer.context().is_out() {
            return Err(Exit::Rebuild("out of the group for too long".into()));
        }
        self.await_projector()?;
        let batch = self.gather()?;
        self.finish_takeovers()?;
        self.take_inventory();
        self.recount.look(&self.partitions);
        let mut events = self.consumer.context().take_events();
        self.decide_and_commit(batch, &mut events)?;
        self.follow(&events)
    }

    /// Committed batches whose rows are not written yet are bounded: while the database is away
    /// the engine decides nothing, and stays in the group. What the group says, and a stop, it follows all the same.
    fn await_projector(&mut self) -> Result<(), Exit> {
        if !self.must_wait() {
            return Ok(());
        }
        let mine = self.assignment();
        self.consumer
            .pause(&mine)
            .map_err(|error| rebuild("pause", &error))?;
        while self.must_wait() {
            match self.consumer.poll(IDLE_POLL) {
                None => {}
                Some(Err(error)) => self.check(&error)?,
                // Not to be put back: the next incarnation reads it again from the position.
                Some(Ok(_)) => return Err(Exit::Rebuild("a paused partition spoke".into())),
            }
            if self.engine.committed.is_closed() {
                return Err(Exit::Stopped);
            }
        }
        self.consumer
            .resume(&mine)
            .map_err(|error| rebuild("resume", &error))
    }

    fn must_wait(&self) -> bool {
        self.engine.committed.capacity() <= RESERVE
            && !self.consumer.context().has_events()
            && !self.engine.stop.is_cancelled()
    }

    fn assignment(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for id in self.partitions.keys() {
            list.add_partition(topics::CHECKOUT_COMMANDS.name, *id);
        }
        list
    }

    fn check(&self, error: &KafkaError) -> Result<(), Exit> {
        use RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::FencedInstanceId) => Err(Exit::Fenced),
            // The position is gone from the log, or the member from the group.
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::UnknownMemberId) => {
                Err(rebuild("poll", error))
            }
            _ if self.is_replaced() => Err(Exit::Fenced),
            _ if self.consumer.client().fatal_error().is_some() => Err(rebuild("poll", error)),
            // Brokers that come and go: the client reconnects by itself.
            _ => {
                tracing::debug!(%error, "poll");
                Ok(())
            }
        }
    }

    /// Whether the group has told this member that another one has its name.
    fn is_replaced(&self) -> bool {
        let fatal = self.consumer.client().fatal_error();
        fatal.is_some_and(|(code, _)| code == RDKafkaErrorCode::FencedInstanceId)
    }

    /// A transaction was refused for its instance name. Either another member has it, of which the group tells this
    /// one with the next heartbeats; or this one was away from the group and has joined again meanwhile, and the
    /// transaction bears its membership of before.
    pub(super) fn fenced(&self) -> Exit {
        let started = Instant::now();
        while started.elapsed() < FENCE_IS_TOLD_WITHIN {
            if let Some(Err(error)) = self.consumer.poll(IDLE_POLL)
                && let Err(exit) = self.check(&error)
            {
                return exit;
            }
            if self.is_replaced() {
                return Exit::Fenced;
            }
        }
        Exit::Rebuild("a transaction with the membership of before".into())
    }

    /// Drains what is there, up to a full batch or a few milliseconds; longer while the projector is behind, since the
    /// answers would wait for it anyway and a larger batch costs everybody less.
    pub(super) fn gather(&mut self) -> Result<Vec<Incoming>, Exit> {
        let mut batch = Vec::new();
        let mut first_at = None;
        let mut wait = IDLE_POLL;
        loop {
            let drained = match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    batch.push(self.read(&message)?);
                    false
                }
                Some(Err(error)) => {
                    self.check(&error)?;
                    false
                }
                None => true,
            };
            if batch.is_empty() && drained
                || batch.len() >= self.engine.config.max_batch
                || self.consumer.context().has_events()
            {
                break;
            }
            let gathering = first_at.get_or_insert_with(Instant::now).elapsed();
            if self.projector_is_behind() {
                if gathering > GATHER_WHILE_BEHIND_FOR {
                    break;
                }
                wait = BEHIND_POLL;
            } else {
                if drained || gathering > GATHER_FOR {
                    break;
                }
                wait = Duration::ZERO;
            }
        }
        Ok(batch)
    }

    /// Whether a committed batch waits for its turn.
    fn projector_is_behind(&self) -> bool {
        let committed = &self.engine.committed;
        committed.capacity() < committed.max_capacity()
    }

    fn read(&self, message: &rdkafka::message::BorrowedMessage<'_>) -> Result<Incoming, Exit> {
        let registry = &self.engine.shared.registry;
        let payload = message.payload();
        let opened = match payload {
            None => Err(CommandError::Tombstone),
            Some(payload) => match registry.open_known(payload) {
                Some(opened) => opened.map_err(CommandError::from),
                None => self
                    .engine
                    .runtime
                    .block_on(registry.open(payload))
                    .map_err(|error| Exit::Rebuild(format!("registry: {error}")))?
                    .map_err(CommandError::from),
            },
        };
        let command = opened.and_then(|datum| commands::decode(&datum));
        let header = |key: &str| {
            let header = message.headers()?.iter().find(|header| header.key == key)?;
            std::str::from_utf8(header.value?).ok().map(Arc::from)
        };
        Ok(Incoming {
            traceparent: header("traceparent"),
            reply_to: header(REPLY_TO),
            partition: message.partition(),
            offset: message.offset(),
            payload: payload.map(<[u8]>::to_vec),
            command: command.map_err(|error| error.to_string()),
        })
    }

    fn take_inventory(&mut self) {
        while let Ok(newer) = self.engine.inventory.try_recv() {
            let id = partition_of(newer.event_id, self.engine.config.event_partitions);
            if self.partitions.contains_key(&id) {
                self.inventory.entry(id).or_default().push(newer);
            }
        }
    }

    pub(super) fn group(&self) -> Result<ConsumerGroupMetadata, Exit> {
        self.consumer
            .group_metadata()
            .ok_or_else(|| Exit::Rebuild("no group metadata".into()))
    }
}

/// Also after a panic: the consumer's own drop would wait for ever for somebody to answer the group.
impl Drop for Incarnation<'_> {
    fn drop(&mut self) {
        self.consumer.context().close();
        tell_late(0);
        for id in self.partitions.keys() {
            self.engine.shared.drop_partition(*id);
        }
    }
}
