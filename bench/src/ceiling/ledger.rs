//! All orders that wait, in one transaction after the other.

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
    show: Show,
    /// As long as a real one.
    owner: String,
    orders: i64,
    batches: i64,
}

impl Ledger {
    /// Joins the group. Blocks.
    pub(crate) fn open(
        config: &KafkaConfig,
        show: Show,
        encoders: Arc<Encoders>,
    ) -> anyhow::Result<Self> {
        let member = group_member(config)?;
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
            show,
            owner: format!("svc-{CLIENT_ID}-1-{}", new_id()),
            orders: 0,
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
        self.orders += i64::try_from(batch.len())?;
        self.batches += 1;
        let books = Books {
            owner: &self.owner,
            orders: self.orders,
            batches: self.batches,
            now,
        };

        self.producer.begin_transaction()?;
        for order in &*batch {
            self.produce(&self.encoders.reserved(&self.show, order))?;
        }
        for output in self.encoders.event(&self.show, &books) {
            self.produce(&output)?;
        }
        for order in &*batch {
            self.produce(&self.encoders.hold(&self.show, order))?;
        }
        for output in self.encoders.end(batch, &books) {
            self.produce(&output)?;
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
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(
            COMMANDS.name,
            self.show.partition,
            Offset::Offset(self.orders),
        )?;
        self.producer
            .send_offsets_to_transaction(&offsets, &group, CALL_TIMEOUT)?;
        Ok(self.producer.commit_transaction(CALL_TIMEOUT)?)
    }

    fn produce(&self, output: &Output) -> anyhow::Result<()> {
        let mut record = BaseRecord::to(output.topic)
            .partition(self.show.partition)
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
