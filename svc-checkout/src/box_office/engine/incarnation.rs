//! One life of the engine: one membership of the group, one transactional producer. After any
//! indefinite error it ends and the next one rebuilds everything from the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use platform::clock::Timestamp;
use platform::kafka::partition_of;
use rdkafka::consumer::{Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics;

use super::Engine;
use super::batch::{Decided, Incoming, Rules, decide_partition};
use super::transaction::{self, Failure, Writes};
use crate::box_office::changelog::Changelog;
use crate::box_office::commands::{self, CommandError};
use crate::box_office::kafka::{
    CALL_TIMEOUT, GroupConsumer, RebalanceEvent, TransactionalProducer, group_consumer,
    transactional_producer,
};
use crate::box_office::partition::{Partition, RememberedBatch};
use crate::box_office::projector::Committed;
use crate::box_office::state_records::commands_key;
use crate::box_office::takeover::{Takeover, TakeoverError};
use crate::domain::event_book::Inventory;

/// Without commands the engine looks this often at inventory, time and takeovers.
const IDLE_POLL: Duration = Duration::from_millis(5);
/// A batch is closed after this time even when more commands keep coming.
const GATHER_FOR: Duration = Duration::from_millis(4);
/// A hand-over that takes longer is left to the session's time-out.
const HAND_OVER_FOR: Duration = Duration::from_secs(1);
/// A batch is decided again this often after an abort.
const MAX_ABORTS: u32 = 5;

/// Why an incarnation ended.
pub(super) enum Exit {
    /// Asked to; its partitions are handed over.
    Stopped,
    /// Something broke: start again.
    Rebuild(String),
    /// Another process has the instance name: end.
    Fenced,
}

fn rebuild(what: &str, error: &KafkaError) -> Exit {
    Exit::Rebuild(format!("{what}: {error}"))
}

type TakenOver = Result<HashMap<i32, Partition>, TakeoverError>;

pub(super) struct Incarnation<'a> {
    engine: &'a Engine,
    consumer: GroupConsumer,
    producer: TransactionalProducer,
    /// The producer's transactional id, which stands as owner in every position.
    owner: String,
    partitions: BTreeMap<i32, Partition>,
    takeover: Option<Receiver<TakenOver>>,
    /// Inventory that no batch has applied yet.
    inventory: BTreeMap<i32, Vec<Arc<Inventory>>>,
    drained: bool,
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
            .subscribe(&[topics::CHECKOUT_COMMANDS.name])
            .map_err(|error| rebuild("subscribe", &error))?;
        Ok(Self {
            engine,
            consumer,
            producer,
            owner,
            partitions: BTreeMap::new(),
            takeover: None,
            inventory: BTreeMap::new(),
            drained: false,
        })
    }

    pub(super) fn run(mut self) -> Exit {
        let exit = loop {
            if self.engine.stop.is_cancelled() {
                break self.hand_over().err().unwrap_or(Exit::Stopped);
            }
            if let Err(exit) = self.turn() {
                break exit;
            }
        };
        self.consumer.context().close();
        for id in self.partitions.keys() {
            self.engine.shared.worklist.drop_partition(*id);
        }
        exit
    }

    /// One round: gather, rebalance, decide, commit.
    fn turn(&mut self) -> Result<(), Exit> {
        self.await_projector()?;
        let mut batch = self.gather()?;
        self.finish_takeover()?;
        self.take_inventory();
        let events = self.consumer.context().take_events();
        let revoked = self.drop_lost(&events, &mut batch);
        self.decide_and_commit(batch, &revoked)?;
        self.follow(&events)
    }

    /// Says goodbye in order: finish, write that nobody owns the partitions, and stay in the
    /// group until it has moved them. (A static member that only closes keeps its partitions
    /// until its session times out.)
    fn hand_over(&mut self) -> Result<(), Exit> {
        let until = Instant::now() + HAND_OVER_FOR;
        self.consumer
            .subscribe(&[topics::CHECKOUT_DRAIN.name])
            .map_err(|error| rebuild("subscribe to drain", &error))?;
        while !(self.drained && self.partitions.is_empty()) {
            if Instant::now() > until {
                tracing::warn!("hand-over not finished: left to the session's time-out");
                return Ok(());
            }
            self.turn()?;
        }
        tracing::info!("handed over");
        Ok(())
    }

    /// Committed batches whose rows are not written yet are bounded: while the database is away
    /// the engine decides nothing, and stays in the group.
    fn await_projector(&mut self) -> Result<(), Exit> {
        if self.engine.committed.capacity() > 0 {
            return Ok(());
        }
        let mine = self.assignment();
        self.consumer
            .pause(&mine)
            .map_err(|error| rebuild("pause", &error))?;
        while self.engine.committed.capacity() == 0 && !self.consumer.context().has_events() {
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

    fn assignment(&self) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for id in self.partitions.keys() {
            list.add_partition(topics::CHECKOUT_COMMANDS.name, *id);
        }
        list
    }

    fn check(&self, error: &KafkaError) -> Result<(), Exit> {
        use rdkafka::error::RDKafkaErrorCode as Code;
        match error.rdkafka_error_code() {
            Some(Code::FencedInstanceId) => Err(Exit::Fenced),
            // The position is gone from the log, or the member from the group.
            Some(Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::UnknownMemberId) => {
                Err(rebuild("poll", error))
            }
            _ if self.consumer.client().fatal_error().is_some() => Err(rebuild("poll", error)),
            // Brokers that come and go: the client reconnects by itself.
            _ => {
                tracing::debug!(%error, "poll");
                Ok(())
            }
        }
    }

    /// Drains what is there, up to a full batch or a few milliseconds.
    fn gather(&mut self) -> Result<Vec<Incoming>, Exit> {
        let mut batch = Vec::new();
        let mut started = Instant::now();
        let mut wait = IDLE_POLL;
        while let Some(polled) = self.consumer.poll(wait) {
            match polled {
                Ok(message) => {
                    if batch.is_empty() {
                        started = Instant::now();
                    }
                    let incoming = self.read(&message)?;
                    batch.push(incoming);
                }
                Err(error) => self.check(&error)?,
            }
            if batch.len() >= self.engine.config.max_batch
                || started.elapsed() > GATHER_FOR
                || self.consumer.context().has_events()
            {
                break;
            }
            wait = Duration::ZERO;
        }
        Ok(batch)
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
        Ok(Incoming {
            partition: message.partition(),
            offset: message.offset(),
            payload: match command {
                Ok(_) => None,
                Err(_) => payload.map(<[u8]>::to_vec),
            },
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

    /// Forgets what may belong to another owner already; returns what must be handed over.
    fn drop_lost(&mut self, events: &[RebalanceEvent], batch: &mut Vec<Incoming>) -> BTreeSet<i32> {
        let mut revoked = BTreeSet::new();
        for event in events {
            match event {
                RebalanceEvent::Revoked {
                    partitions,
                    lost: true,
                } => {
                    tracing::warn!(?partitions, "lost");
                    for id in partitions {
                        self.forget(*id);
                        revoked.remove(id);
                    }
                }
                RebalanceEvent::Revoked {
                    partitions,
                    lost: false,
                } => {
                    revoked.extend(partitions.iter().copied());
                }
                RebalanceEvent::Assigned { .. } => {}
            }
        }
        batch.retain(|incoming| self.partitions.contains_key(&incoming.partition));
        revoked.retain(|id| self.partitions.contains_key(id));
        revoked
    }

    fn forget(&mut self, id: i32) {
        self.partitions.remove(&id);
        self.inventory.remove(&id);
        self.engine.shared.worklist.drop_partition(id);
    }

    fn group(&self) -> Result<ConsumerGroupMetadata, Exit> {
        self.consumer
            .group_metadata()
            .ok_or_else(|| Exit::Rebuild("no group metadata".into()))
    }

    /// Decides and commits; after an abort the same batch again, less what has moved meanwhile.
    fn decide_and_commit(
        &mut self,
        mut batch: Vec<Incoming>,
        revoked: &BTreeSet<i32>,
    ) -> Result<(), Exit> {
        for _ in 0..MAX_ABORTS {
            if self.partitions.is_empty() {
                return Ok(());
            }
            let group = self.group()?;
            let decided = self.decide(&batch, revoked);
            if decided.is_empty() {
                return Ok(());
            }
            let writes = self.writes(&decided, revoked);
            match transaction::commit(&self.producer, &group, &writes) {
                Ok(ledger) => {
                    self.take_over_batch(decided, ledger);
                    return Ok(());
                }
                Err(Failure::Fenced) => return Err(Exit::Fenced),
                Err(Failure::Rebuild(reason)) => return Err(Exit::Rebuild(reason)),
                Err(Failure::Abort(reason)) => {
                    tracing::warn!(reason, "batch aborted");
                    metrics::counter!("checkout_aborts_total").increment(1);
                    self.producer
                        .abort_transaction(CALL_TIMEOUT)
                        .map_err(|error| rebuild("abort", &error))?;
                    // What aborted deliveries reported is void.
                    let _ = self.producer.context().take();
                    batch.extend(self.gather()?);
                    if self.consumer.context().has_events() {
                        // The group is moving: what was consumed is read again from the
                        // position in the state by whoever gets the partition.
                        return Err(Exit::Rebuild("rebalance during an abort".into()));
                    }
                }
            }
        }
        Err(Exit::Rebuild(
            "the batch was aborted again and again".into(),
        ))
    }

    fn decide(&self, batch: &[Incoming], revoked: &BTreeSet<i32>) -> BTreeMap<i32, Decided> {
        let clock = Timestamp::now();
        let rules = Rules {
            hold_for: self.engine.config.hold_for,
            remember_for: self.engine.config.remember_for,
        };
        let mut by_partition: HashMap<i32, Vec<&Incoming>> = HashMap::new();
        for incoming in batch {
            by_partition
                .entry(incoming.partition)
                .or_default()
                .push(incoming);
        }
        let mut all = BTreeMap::new();
        for (id, partition) in &self.partitions {
            let commands = by_partition.remove(id).unwrap_or_default();
            let inventory = self.inventory.get(id).map_or(&[][..], Vec::as_slice);
            let decided = decide_partition(partition, &commands, inventory, rules, clock);
            if revoked.contains(id) || !decided.is_empty(partition) {
                all.insert(*id, decided);
            }
        }
        all
    }

    fn writes(
        &self,
        decided: &BTreeMap<i32, Decided>,
        revoked: &BTreeSet<i32>,
    ) -> BTreeMap<i32, Writes> {
        let changelog = &self.engine.changelog;
        decided
            .iter()
            .map(|(&id, part)| {
                let facts = part.settled.iter().flat_map(|settled| &settled.facts);
                let mut outputs: Vec<_> = facts.map(|fact| changelog.fact(fact)).collect();
                let batch_key = self.commands_key(id);
                outputs.extend(changelog.changes(&part.changes, &batch_key, part.now));
                outputs.extend(part.forgotten.iter().cloned().map(Changelog::forget));
                outputs.extend(part.dead.iter().map(|dead| {
                    let place = (id, dead.offset);
                    changelog.dead_letter(
                        place,
                        dead.payload.clone(),
                        dead.reason.clone(),
                        part.now,
                    )
                }));
                let owner = if revoked.contains(&id) {
                    ""
                } else {
                    &self.owner
                };
                outputs.push(changelog.position(owner, part.position, part.now));
                let position = part.position;
                (id, Writes { outputs, position })
            })
            .collect()
    }

    /// Names a batch by its first offset: unique, since a batch with effects moves the position.
    fn commands_key(&self, id: i32) -> String {
        commands_key(
            self.partitions
                .get(&id)
                .map_or(0, |partition| partition.position),
        )
    }

    /// The batch is committed: the books, the worklist and the projector get it.
    fn take_over_batch(
        &mut self,
        decided: BTreeMap<i32, Decided>,
        ledger: HashMap<(&'static str, i32), i64>,
    ) {
        let mut committed = Committed {
            settled: Vec::new(),
            ledger,
        };
        for (id, part) in decided {
            let key = self.commands_key(id);
            self.inventory.remove(&id);
            self.engine
                .shared
                .worklist
                .update(id, &part.changes, part.now);
            for dead in &part.dead {
                tracing::error!(
                    partition = id,
                    offset = dead.offset,
                    reason = dead.reason,
                    "dead letter"
                );
            }
            let remembered = (!part.changes.effects.is_empty()).then(|| RememberedBatch {
                key,
                at: part.now,
                commands: part.changes.effects.keys().copied().collect(),
            });
            if let Some(partition) = self.partitions.get_mut(&id) {
                partition.commit(
                    part.changes,
                    part.position,
                    part.now,
                    remembered,
                    part.forgotten.len(),
                );
            }
            committed.settled.extend(part.settled);
        }
        metrics::histogram!("checkout_batch_commands").record(committed.settled.len() as f64);
        // There is room: `await_projector` saw it, and nobody else sends. A closed channel means
        // that the process is stopping; the rows are written by the next owner.
        let _ = self.engine.committed.blocking_send(committed);
    }

    /// Does what the group said, after the batch is committed.
    fn follow(&mut self, events: &[RebalanceEvent]) -> Result<(), Exit> {
        for event in events {
            match event {
                RebalanceEvent::Revoked { partitions, .. } => {
                    let mut list = TopicPartitionList::new();
                    for id in partitions {
                        self.forget(*id);
                        list.add_partition(topics::CHECKOUT_COMMANDS.name, *id);
                    }
                    self.consumer
                        .incremental_unassign(&list)
                        .map_err(|error| rebuild("unassign", &error))?;
                    tracing::info!(?partitions, "revoked");
                }
                RebalanceEvent::Assigned { partitions, drain } if partitions.is_empty() => {
                    self.assign_nothing(*drain)?;
                }
                RebalanceEvent::Assigned { partitions, .. } => self.start_takeover(partitions)?,
            }
        }
        Ok(())
    }

    /// A share without commands: another member has them all, or this one is leaving, or …
    fn assign_nothing(&mut self, drain: bool) -> Result<(), Exit> {
        let mut list = TopicPartitionList::new();
        if drain {
            list.add_partition_offset(topics::CHECKOUT_DRAIN.name, 0, Offset::End)
                .map_err(|error| rebuild("assign drain", &error))?;
        }
        self.consumer
            .incremental_assign(&list)
            .map_err(|error| rebuild("assign", &error))?;
        let stopping = self.engine.stop.is_cancelled();
        if drain && !stopping {
            // … the last process with this instance name was leaving a moment ago, and the group
            // gave its share to us without asking anybody. A changed subscription makes it ask.
            tracing::info!("the group still has this instance as leaving: joining anew");
            let both = [topics::CHECKOUT_COMMANDS.name, topics::CHECKOUT_DRAIN.name];
            self.consumer
                .subscribe(&both)
                .map_err(|error| rebuild("subscribe", &error))?;
            return Ok(());
        }
        self.drained = stopping;
        self.engine.joined.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Reads the state of new partitions on a thread; they are assigned when it is known.
    fn start_takeover(&mut self, partitions: &[i32]) -> Result<(), Exit> {
        let takeover = Takeover {
            config: self.engine.config.clone(),
            registry: self.engine.shared.registry.clone(),
            projection: Arc::clone(&self.engine.projection),
            runtime: self.engine.runtime.clone(),
            partitions: partitions.to_vec(),
        };
        let (sender, receiver) = channel();
        std::thread::Builder::new()
            .name("takeover".into())
            // A receiver that has gone: this incarnation ended meanwhile.
            .spawn(move || drop(sender.send(takeover.run())))
            .map_err(|error| Exit::Rebuild(format!("takeover thread: {error}")))?;
        self.takeover = Some(receiver);
        Ok(())
    }

    fn finish_takeover(&mut self) -> Result<(), Exit> {
        let Some(receiver) = &self.takeover else {
            return Ok(());
        };
        let taken = match receiver.try_recv() {
            Err(TryRecvError::Empty) => return Ok(()),
            Err(TryRecvError::Disconnected) => {
                return Err(Exit::Rebuild("the takeover panicked".into()));
            }
            Ok(taken) => taken.map_err(|error| Exit::Rebuild(error.to_string()))?,
        };
        self.takeover = None;
        self.claim(&taken)?;
        let mut list = TopicPartitionList::new();
        for (id, partition) in &taken {
            // With its offset: a seek right after assign failed, and offset 0 was delivered.
            list.add_partition_offset(
                topics::CHECKOUT_COMMANDS.name,
                *id,
                Offset::Offset(partition.position),
            )
            .map_err(|error| rebuild("assign", &error))?;
        }
        self.consumer
            .incremental_assign(&list)
            .map_err(|error| rebuild("assign", &error))?;
        for (id, partition) in taken {
            self.adopt(id, partition);
        }
        self.engine.joined.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// The first transaction of a new owner: its name and the position. The generation check
    /// refuses it when the partitions have moved on.
    fn claim(&self, taken: &HashMap<i32, Partition>) -> Result<(), Exit> {
        let group = self.group()?;
        let clock = Timestamp::now();
        let writes = taken
            .iter()
            .map(|(&id, partition)| {
                let position = partition.position;
                let now = partition.now(clock);
                let outputs = vec![self.engine.changelog.position(&self.owner, position, now)];
                (id, Writes { outputs, position })
            })
            .collect();
        match transaction::commit(&self.producer, &group, &writes) {
            Ok(_) => Ok(()),
            Err(Failure::Fenced) => Err(Exit::Fenced),
            Err(Failure::Abort(reason) | Failure::Rebuild(reason)) => {
                Err(Exit::Rebuild(format!("claim: {reason}")))
            }
        }
    }

    fn adopt(&mut self, id: i32, partition: Partition) {
        let partitions = self.engine.config.event_partitions;
        let known = self
            .engine
            .shared
            .inventory
            .all(|event_id| partition_of(event_id, partitions) == id);
        self.inventory.insert(id, known);
        let books = &partition.books;
        self.engine
            .shared
            .worklist
            .adopt(id, books, partition.last_time);
        self.partitions.insert(id, partition);
    }
}
