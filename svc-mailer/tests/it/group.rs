//! A topic and a consumer group of a test's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::eventually;
use platform::config::KafkaConfig;
use platform::ids::new_id;
use platform::kafka::consumer::{self, ConsumerError, ConsumerSpec, Handler, OUT_AT_MOST};
use platform::kafka::{client_config, topics};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use schemas::topics::{Kind, Partitions, Topic};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::records::{BROKER_TIMEOUT, DEADLINE, World, committed, headers};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Everything is about one topic, whose records are keys without payload.
pub(crate) struct Group {
    pub(crate) topic: &'static str,
    kafka: KafkaConfig,
    partitions: i32,
}

/// One that consumes.
pub(crate) struct Member {
    stop: CancellationToken,
    task: JoinHandle<Result<(), ConsumerError>>,
}

impl Group {
    pub(crate) async fn new(world: &World, partitions: i32) -> anyhow::Result<Self> {
        let kafka = KafkaConfig {
            brokers: world.stack.kafka_brokers.clone(),
            event_partitions: world.stack.event_partitions,
            replication_factor: 1,
            schema_registry_url: world.stack.schema_registry_url.parse()?,
        };
        // Names of topics live as long as the program.
        let name = Box::leak(format!("it.{}", new_id()).into_boxed_str());
        let topic = Topic {
            name,
            kind: Kind::LogFor(DAY_MS),
            partitions: Partitions::ByKey(partitions),
        };
        topics::create(&kafka, &[topic]).await?;
        Ok(Self {
            topic: name,
            kafka,
            partitions,
        })
    }

    pub(crate) async fn put(&self, world: &World, partition: i32, key: Uuid) -> anyhow::Result<()> {
        let key_text = key.to_string();
        let put =
            world
                .producer
                .send_to(self.topic, partition, &key_text, headers("none", key), None);
        Ok(put.await?)
    }

    /// One more member.
    pub(crate) fn join<H: Handler>(
        &self,
        world: &World,
        at_once: usize,
        handler: Arc<H>,
    ) -> Member {
        self.join_within(world, OUT_AT_MOST, at_once, handler)
    }

    /// One that gives its client up when it is out of the group for longer.
    pub(crate) fn join_within<H: Handler>(
        &self,
        world: &World,
        out_at_most: Duration,
        at_once: usize,
        handler: Arc<H>,
    ) -> Member {
        let spec = ConsumerSpec {
            group: self.topic.to_owned(),
            topics: vec![self.topic],
            personal: false,
            at_once,
            out_at_most,
        };
        let (kafka, registry) = (self.kafka.clone(), world.registry.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task =
            tokio::spawn(
                async move { consumer::run(&kafka, &registry, spec, handler, stopped).await },
            );
        Member { stop, task }
    }

    /// A member that asks the group for news every 40 s only: as long as that, whoever wants to join waits for it.
    pub(crate) fn deaf_member(&self) -> anyhow::Result<BaseConsumer> {
        let deaf: BaseConsumer = client_config(&self.kafka.brokers, "svc-mailer-it")
            .set("group.id", self.topic)
            .set("group.protocol", "classic")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "45000")
            .set("heartbeat.interval.ms", "40000")
            .set("enable.auto.commit", "false")
            .create()?;
        deaf.subscribe(&[self.topic])?;
        let began = Instant::now();
        while deaf.assignment()?.count() == 0 {
            anyhow::ensure!(began.elapsed() < DEADLINE, "the group gives no partitions");
            drop(deaf.poll(Duration::from_millis(100)));
        }
        Ok(deaf)
    }

    /// The ids of those in the group, whatever it is doing.
    pub(crate) fn members(&self) -> anyhow::Result<BTreeSet<String>> {
        let asker: BaseConsumer = client_config(&self.kafka.brokers, "svc-mailer-it").create()?;
        let groups = asker.fetch_group_list(Some(self.topic), BROKER_TIMEOUT)?;
        let members = groups.groups().iter().flat_map(|group| group.members());
        Ok(members.map(|member| member.id().to_owned()).collect())
    }

    /// Waits until so many members share all partitions, and returns those of each by its id.
    pub(crate) async fn shared_by(
        &self,
        members: usize,
    ) -> anyhow::Result<BTreeMap<String, Vec<i32>>> {
        let asker: BaseConsumer = client_config(&self.kafka.brokers, "svc-mailer-it").create()?;
        let what = format!("{members} members that share all partitions");
        eventually(DEADLINE, &what, async || {
            let groups = asker.fetch_group_list(Some(self.topic), BROKER_TIMEOUT)?;
            let group = groups.groups().first();
            let group = group.filter(|group| group.state() == "Stable");
            let in_group = group.map_or(&[][..], |group| group.members());
            let shares = in_group.iter().map(|member| {
                let share = self.share(member.assignment().unwrap_or_default());
                (member.id().to_owned(), share)
            });
            let shares: BTreeMap<_, _> = shares.collect();
            let all: usize = shares.values().map(Vec::len).sum();
            let whole = shares.len() == members && all == usize::try_from(self.partitions)?;
            Ok(whole.then_some(shares))
        })
        .await
    }

    /// The offset at which the group would begin; 0 where it has none.
    pub(crate) fn committed(&self, partition: i32) -> anyhow::Result<i64> {
        committed(&self.kafka.brokers, self.topic, self.topic, partition)
    }

    /// The partitions in an assignment of Kafka's consumer protocol: behind the topic's name their number, then they.
    fn share(&self, assignment: &[u8]) -> Vec<i32> {
        let name = self.topic.as_bytes();
        let at = assignment
            .windows(name.len())
            .position(|part| part == name)
            .map(|at| &assignment[at + name.len()..]);
        let mut numbers = at.into_iter().flat_map(|rest| {
            let numbers = rest.chunks_exact(4);
            numbers.filter_map(|bytes| bytes.try_into().ok().map(i32::from_be_bytes))
        });
        let count = numbers.next().unwrap_or_default();
        numbers
            .take(usize::try_from(count).unwrap_or_default())
            .collect()
    }
}

impl Member {
    /// What it has in hand it ends.
    pub(crate) fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    /// As a service stops.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.tell_to_stop();
        self.task.await??;
        Ok(())
    }

    /// Whatever it has in hand is dropped.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}
