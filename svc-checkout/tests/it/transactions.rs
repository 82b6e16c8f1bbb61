//! The transaction of a batch on the broker itself, by members of a group of the test's own.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::wait::SOON;
use e2e::{Stack, eventually};
use platform::ids::new_id;
use platform::kafka::client_config;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::producer::Producer as _;
use rdkafka::{Offset, TopicPartitionList};
use schemas::topics::{CHECKOUT_COMMANDS, CHECKOUT_GUESTS, CHECKOUT_REPLIES};
use svc_checkout::box_office::EngineConfig;
use svc_checkout::box_office::changelog::Output;
use svc_checkout::box_office::engine::transaction::{Failure, Writes, commit};
use svc_checkout::box_office::kafka::{TransactionalProducer, transactional_producer};

const KAFKA_CALL: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
/// Its only partition.
const PARTITION: i32 = 0;
/// Of commands, that the group has; a batch of ended holds leaves it where it is.
const POSITION: i64 = 7;

fn producer(stack: &Stack, group: &str) -> anyhow::Result<TransactionalProducer> {
    let config = EngineConfig {
        brokers: stack.kafka_brokers.clone(),
        event_partitions: stack.event_partitions,
        instance_name: group.to_owned(),
        hold_for: Duration::ZERO,
        remember_for: Duration::ZERO,
        max_batch: 1,
    };
    let producer = transactional_producer(&config, &format!("{group}-{}", new_id()))?;
    producer.init_transactions(KAFKA_CALL)?;
    Ok(producer)
}

/// A static member as the engine is one; it reads nothing.
fn join(stack: &Stack, group: &str, name: &str) -> anyhow::Result<BaseConsumer> {
    let member: BaseConsumer = client_config(&stack.kafka_brokers, group)
        .set("group.id", group)
        .set("group.protocol", "classic")
        .set("group.instance.id", format!("{group}-{name}"))
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "200")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "latest")
        .create()?;
    // Of its six partitions everybody gets some.
    member.subscribe(&[CHECKOUT_GUESTS.name])?;
    Ok(member)
}

/// Lets all of them talk to the group until each has so many partitions.
async fn share(members: &[&BaseConsumer], partitions: usize) -> anyhow::Result<()> {
    eventually(SOON, "every member to have its share", async || {
        let mut all_have = true;
        for member in members {
            _ = member.poll(POLL);
            all_have &= member.assignment()?.count() == partitions;
        }
        Ok(all_have.then_some(()))
    })
    .await
}

fn metadata(member: &BaseConsumer) -> anyhow::Result<ConsumerGroupMetadata> {
    member.group_metadata().context("group metadata")
}

/// Writes as the engine does: what is refused because the group moves is tried again with its new generation.
async fn written(
    producer: &TransactionalProducer,
    member: &BaseConsumer,
    others: &[&BaseConsumer],
    key: &str,
) -> anyhow::Result<()> {
    eventually(SOON, "a transaction", async || {
        for member in others.iter().chain([&member]) {
            _ = member.poll(POLL);
        }
        let writes = writes(CHECKOUT_REPLIES.name, key);
        match commit(producer, Some(&metadata(member)?), &writes) {
            Ok(_) => Ok(Some(())),
            Err(Failure::Abort(_)) => {
                producer.abort_transaction(KAFKA_CALL)?;
                // What was not delivered is told late.
                _ = producer.context().take();
                Ok(None)
            }
            Err(failure) => anyhow::bail!("{failure:?}"),
        }
    })
    .await
}

/// What a batch writes in which only time has passed: a record, and the position of before. The record is a reply to
/// nobody.
fn writes(topic: &'static str, key: &str) -> BTreeMap<i32, Writes> {
    let output = Output {
        topic,
        key: key.to_owned(),
        payload: Some(b"for nobody".to_vec()),
        headers: None,
    };
    let writes = Writes {
        outputs: vec![output],
        position: POSITION,
    };
    BTreeMap::from([(PARTITION, writes)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_before_a_rebalance_is_refused_although_it_took_no_command() -> anyhow::Result<()>
{
    let stack = Stack::from_env();
    let group = format!("it-{}", new_id().simple());
    let mut replies = stack.records_from_now(CHECKOUT_REPLIES.name)?;
    let key = |name: &str| format!("{group}-{name}");
    let write = |producer: &TransactionalProducer, member: &ConsumerGroupMetadata, name: &str| {
        let writes = writes(CHECKOUT_REPLIES.name, &key(name));
        commit(producer, Some(member), &writes)
    };

    let one = join(&stack, &group, "one")?;
    share(&[&one], 6).await?;
    let alone = metadata(&one)?;
    let zombie = producer(&stack, &group)?;
    let owned = write(&zombie, &alone, "owned");
    ensure!(owned.is_ok(), "the owner is refused: {owned:?}");
    let mut position = TopicPartitionList::new();
    position.add_partition(CHECKOUT_COMMANDS.name, PARTITION);
    let position = one.committed_offsets(position, KAFKA_CALL)?;
    let position = position.find_partition(CHECKOUT_COMMANDS.name, PARTITION);
    let position = position.context("a position")?.offset();
    ensure!(position == Offset::Offset(POSITION), "{position:?}");

    // Somebody else has some of the partitions now.
    let two = join(&stack, &group, "two")?;
    share(&[&one, &two], 3).await?;
    let late = write(&zombie, &alone, "of-before");
    ensure!(matches!(late, Err(Failure::Abort(_))), "{late:?}");
    zombie.abort_transaction(KAFKA_CALL)?;
    written(&zombie, &one, &[&two], &key("decided-again")).await?;

    // Another process has the name.
    let of_before = metadata(&two)?;
    let replaced = producer(&stack, &group)?;
    let instead = join(&stack, &group, "two")?;
    share(&[&one, &instead], 3).await?;
    let fenced = write(&replaced, &of_before, "of-the-replaced");
    ensure!(matches!(fenced, Err(Failure::Fenced)), "{fenced:?}");

    // Nothing of what was refused is there, before what was written last.
    written(&zombie, &one, &[&instead], &key("last")).await?;
    let mut seen = Vec::new();
    while seen.last() != Some(&key("last")) {
        let ours = |record: &e2e::SeenRecord| record.key.starts_with(&group);
        seen.push(replies.wait_for("a record", SOON, ours).await?.key);
    }
    let wanted = ["owned", "decided-again", "last"].map(key);
    ensure!(seen == wanted, "{seen:?}");
    Ok(())
}

/// What is not on the broker when its offsets pass the generation check may come after the end that a successor reads.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_delivered_is_not_committed() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let group = format!("it-{}", new_id().simple());
    let member = join(&stack, &group, "one")?;
    share(&[&member], 6).await?;
    let producer = producer(&stack, &group)?;
    // The client waits for such a topic, as it does for a broker that is away.
    let writes = writes("checkout.nowhere", "for nobody");
    let refused = commit(&producer, Some(&metadata(&member)?), &writes);
    // Before the commit: the end of one that was begun would not be known.
    ensure!(matches!(refused, Err(Failure::Abort(_))), "{refused:?}");
    Ok(())
}
