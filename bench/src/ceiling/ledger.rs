//! All orders that wait, in one transaction after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::channel::mpsc::UnboundedSender;
use platform::clock::Timestamp;
use platform::config::KafkaConfig;
use platform::ids::new_id;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::{
    CALL_TIMEOUT, CLIENT_ID, TransactionalProducer, group_member, transactional_producer,
};
use crate::order::{Order, Show};
use crate::place::COMMANDS;
use crate::records::{Books, Encoders, Output};

/// Orders of one transaction, at most.
const MAX_BATCH: usize = 2_000;
/// The member must be polled now and then, also while nothing comes.
const IDLE: Duration = Duration::from_millis(500);
/// Between two looks whether all records have arrived: short against a transaction of some milliseconds.
const DELIVERY_LOOK: Duration = Duration::from_micros(200);
const JOINED_WITHIN: Duration = Duration::from_secs(20);

/// One transactional producer and the group that checks its offsets.
pub(crate) struct Ledger {
    producer: TransactionalProducer,
    member: BaseConsumer,
    encoders: Arc<Encoders>,
    /// As long as a real one.
    owner: String,
    /// Orders so far, by partition.
    orders: HashMap<i32, i64>,
    batches: i64,
}

impl Ledger {
    /// Joins a group of this name. Blocks.
    pub(crate) fn open(
        config: &KafkaConfig,
        name: &str,
        encoders: Arc<Encoders>,
    ) -> anyhow::Result<Self> {
        let member = group_member(config, name)?;
        member.subscribe(&[COMMANDS.name])?;
        let began = Instant::now();
        while member.assignment()?.count() == 0 {
            ensure!(
                began.elapsed() < JOINED_WITHIN,
                "the group gives no partitions"
            );
            // What it brings is not wanted: reading is part of what the ceiling leaves out.
            let _ = member.poll(Duration::from_millis(10));
        }
        member.pause(&member.assignment()?)?;
        Ok(Self {
            producer: transactional_producer(config)?,
            member,
            encoders,
            owner: format!("svc-{CLIENT_ID}-1-{}", new_id()),
            orders: HashMap::new(),
            batches: 0,
        })
    }

    /// Commits what waits, until nobody can send any more.
    pub(crate) fn run(
        mut self,
        waiting: &Receiver<Order>,
        committed: &UnboundedSender<Vec<Order>>,
    ) -> anyhow::Result<()> {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        loop {
            match waiting.recv_timeout(IDLE) {
                Ok(first) => {
                    let mut batch = vec![first];
                    batch.extend(waiting.try_iter().take(MAX_BATCH - 1));
                    batch.sort_by_key(|order| order.show.partition);
                    self.commit(&mut batch)?;
                    if committed.unbounded_send(batch).is_err() {
                        return Ok(());
                    }
                }
                Err(Timeout) => {}
                Err(Disconnected) => return Ok(()),
            }
            let _ = self.member.poll(Duration::ZERO);
        }
    }

    fn commit(&mut self, batch: &mut [Order]) -> anyhow::Result<()> {
        let group = self.member.group_metadata().context("no group metadata")?;
        let now = Timestamp::now();
        for order in &mut *batch {
            order.reserved_at = now;
        }
        self.batches += 1;

        self.producer.begin_transaction()?;
        let mut offsets = TopicPartitionList::new();
        for orders in batch.chunk_by(|a, b| a.show.partition == b.show.partition) {
            let Some(Order { show, .. }) = orders.first() else {
                continue;
            };
            let count = self.orders.entry(show.partition).or_default();
            *count += i64::try_from(orders.len())?;
            let count = *count;
            self.produce_all(show, orders, count, now)?;
            offsets.add_partition_offset(COMMANDS.name, show.partition, Offset::Offset(count))?;
        }
        // A commit with something in flight polls 100 ms at a time.
        let began = Instant::now();
        while self.producer.in_flight_count() > 0 {
            ensure!(began.elapsed() < CALL_TIMEOUT, "deliveries took too long");
            // Not `poll(1 ms)`: it waits in whole milliseconds and spins through what is left, here all of it.
            self.producer.poll(Duration::ZERO);
            std::thread::sleep(DELIVERY_LOOK);
        }
        self.producer.context().check()?;
        self.producer
            .send_offsets_to_transaction(&offsets, &group, CALL_TIMEOUT)?;
        Ok(self.producer.commit_transaction(CALL_TIMEOUT)?)
    }

    /// Everything that a transaction says of one partition, where there are `count` orders now.
    fn produce_all(
        &self,
        show: &Show,
        orders: &[Order],
        count: i64,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let books = Books {
            owner: &self.owner,
            orders: count,
            batches: self.batches,
            now,
        };
        let produce = |output: &Output| self.produce(show.partition, output);
        for order in orders {
            produce(&self.encoders.reserved(order))?;
        }
        for output in self.encoders.event(show, &books) {
            produce(&output)?;
        }
        for order in orders {
            produce(&self.encoders.hold(order))?;
        }
        for output in self.encoders.end(orders, &books) {
            produce(&output)?;
        }
        Ok(())
    }

    fn produce(&self, partition: i32, output: &Output) -> anyhow::Result<()> {
        let mut record = BaseRecord::to(output.topic)
            .partition(partition)
            .key(&output.key)
            .payload(&output.payload);
        if let Some(headers) = &output.headers {
            record = record.headers(headers.clone());
        }
        // The queue holds a hundred batches.
        self.producer
            .send(record)
            .map_err(|(error, _)| error)
            .context("produce")
    }
}
