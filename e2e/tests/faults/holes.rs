//! Holes that steps of the protocol close (docs/BOX_OFFICE.md): each test fails when its step is taken out.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::orders::place;
use e2e::wait::SOON;
use e2e::{PublishedEvent, Stack, User, eventually};
use platform::avro::Registry;
use platform::clock::Timestamp;
use platform::ids::new_id;
use platform::kafka::producer::Producer;
use platform::kafka::{client_config, partition_of};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use schemas::checkout::RecentCommands;
use schemas::dead::DeadLetter;
use schemas::topics::{CHECKOUT_COMMANDS, CHECKOUT_STATE};

use crate::load::{Spread, events};
use crate::{TURN, stack_command};

const CHECKOUT: &str = "svc-checkout";
/// The broker forgets a stopped member after 6 s.
const MEMBER_GONE: Duration = Duration::from_secs(30);
/// Rebuilding takes a second or two, on a busy machine more.
const SERVES_AGAIN: Duration = Duration::from_secs(60);
const KAFKA_CALL: Duration = Duration::from_secs(10);
/// Longer than this test waits, and than a take-over tries at a time.
const TRANSACTION_TIMEOUT_MS: &str = "120000";

async fn answered(stack: &Stack, buyer: &User, event: &PublishedEvent) -> anyhow::Result<u16> {
    let lines = [(event.ticket_types[0], 1)];
    let order = place(stack.checkout(), buyer, event.id, &lines);
    Ok(order.send().await?.status)
}

async fn sells(stack: &Stack, buyer: &User, event: &PublishedEvent) -> anyhow::Result<()> {
    eventually(SERVES_AGAIN, "an order to be taken", async || {
        Ok((answered(stack, buyer, event).await? == 201).then_some(()))
    })
    .await
}

/// Somebody sets the group's offsets back to the start. Where a partition stands is in its own state, so no command is
/// executed again. A command that cannot be read shows it: each time it is executed it dies once more.
#[tokio::test(flavor = "multi_thread")]
async fn an_offset_reset_executes_nothing_again() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let event = events(&stack, Spread::OneEvent, 10).await?.remove(0);
    let buyer = stack.customer().await?;
    let partition = partition_of(event.id, stack.event_partitions);
    let dead_topic = format!("{}.svc-checkout.dead", CHECKOUT_COMMANDS.name);
    let poison = new_id().to_string();
    let mut dead = stack.records_from_now(&dead_topic)?;
    let producer = Producer::new(&stack.kafka_brokers, "holes")?;
    let key = event.id.to_string();
    let sent = producer.send_to(
        CHECKOUT_COMMANDS.name,
        partition,
        &key,
        OwnedHeaders::new(),
        Some(poison.as_bytes()),
    );
    sent.await?;
    let is_ours = |letter: &DeadLetter| letter.payload.as_deref() == Some(poison.as_bytes());
    let its = |record: &e2e::SeenRecord| record.read::<DeadLetter>().is_ok_and(|l| is_ours(&l));
    dead.wait_for("the poison to die", SOON, its).await?;

    stack_command("stop", CHECKOUT).await?;
    let reset = eventually(MEMBER_GONE, "the group to be empty", async || {
        Ok(set_back(&stack).ok())
    })
    .await;
    // Before anything is judged: the tests after this one need it.
    stack_command("start", CHECKOUT).await?;
    reset?;
    sells(&stack, &buyer, &event).await?;
    let letters = stack.all_records(&dead_topic).await?;
    let deaths = letters.iter().filter(|record| its(record)).count();
    ensure!(deaths == 1, "the poison was executed {deaths} times");
    Ok(())
}

/// Refused while the group has members.
fn set_back(stack: &Stack) -> anyhow::Result<()> {
    let consumer: BaseConsumer = client_config(&stack.kafka_brokers, "holes")
        .set("group.id", CHECKOUT)
        .set("enable.auto.commit", "false")
        .create()?;
    let mut start = TopicPartitionList::new();
    for partition in 0..stack.event_partitions {
        start.add_partition_offset(CHECKOUT_COMMANDS.name, partition, Offset::Offset(0))?;
    }
    consumer.commit(&start, CommitMode::Sync)?;
    let kept = consumer.committed_offsets(start, KAFKA_CALL)?;
    let is_start = |p: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        p.offset() == Offset::Offset(0)
    };
    ensure!(kept.elements().iter().all(is_start), "{kept:?}");
    Ok(())
}

/// A dead owner's last transaction may still be committed. Whoever reads the state "to its end" stops before it, and would
/// sell without knowing of it: a new owner waits until it has ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_take_over_waits_for_what_may_still_be_committed() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let event = events(&stack, Spread::OneEvent, 1_000).await?.remove(0);
    let buyer = stack.customer().await?;
    let registry = Registry::new(&stack.schema_registry_url)?;
    let encoder = registry.register::<RecentCommands>().await?;
    let payload = encoder.encode(&RecentCommands {
        at: Timestamp::now().as_micros(),
        effects: Vec::new(),
    });

    stack_command("stop", CHECKOUT).await?;
    let open = open_transaction(&stack, &event, &payload);
    // `stack start` waits until the service is ready, which it is when it has its partitions.
    let tried = async {
        let open = open?;
        // Each try waits for 5 s, and a take-over takes one.
        let first = eventually(SERVES_AGAIN, "the service to listen", async || {
            Ok(answered(&stack, &buyer, &event).await.ok())
        })
        .await;
        let second = answered(&stack, &buyer, &event).await;
        open.commit_transaction(KAFKA_CALL)?;
        anyhow::Ok([first?, second?])
    };
    let (started, tried) = tokio::join!(stack_command("start", CHECKOUT), tried);
    started?;
    sells(&stack, &buyer, &event).await?;
    for status in tried? {
        ensure!(
            status == 503,
            "{status}: it sells and does not know yet what it sold"
        );
    }
    Ok(())
}

/// Writes to the state of the event's partition and leaves it at that.
fn open_transaction(
    stack: &Stack,
    event: &PublishedEvent,
    payload: &[u8],
) -> anyhow::Result<BaseProducer> {
    let producer: BaseProducer = client_config(&stack.kafka_brokers, "holes")
        .set("transactional.id", format!("holes-{}", new_id()))
        .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS)
        .create()?;
    producer.init_transactions(KAFKA_CALL)?;
    producer.begin_transaction()?;
    // A batch without effects, under a key of its own.
    let key = format!("commands/{}", new_id());
    let record = BaseRecord::to(CHECKOUT_STATE.name)
        .partition(partition_of(event.id, stack.event_partitions))
        .key(&key)
        .payload(payload);
    producer.send(record).map_err(|(error, _)| error)?;
    producer
        .flush(KAFKA_CALL)
        .context("the record was not written")?;
    Ok(producer)
}
