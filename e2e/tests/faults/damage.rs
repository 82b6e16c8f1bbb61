//! Records that Kafka has dropped, and records that nobody can read: one partition waits for a person, the others sell.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use e2e::api::Api;
use e2e::orders::place;
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{PublishedEvent, Role, Service, Stack, TicketType, eventually};
use futures::future::try_join_all;
use platform::ids::new_id;
use platform::kafka::partition_of;
use platform::kafka::producer::Producer;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::OwnedHeaders;
use rdkafka::{Offset, TopicPartitionList};
use schemas::checkout::OrderReserved;
use schemas::topics::{CHECKOUT_ORDERS, CHECKOUT_STATE};
use scylla::client::session_builder::SessionBuilder;

use crate::load::{Spread, events};
use crate::two_instances::SECOND;
use crate::{TURN, stack_command};

const CHECKOUT: &str = "svc-checkout";
/// Its offsets say how far the rows are.
const PROJECTION_GROUP: &str = "svc-checkout-projection";

async fn event(stack: &Stack) -> anyhow::Result<PublishedEvent> {
    let organizer = stack.user(&[Role::Organizer]).await?;
    stack
        .published_event(&organizer, &[TicketType::general(20)])
        .await
}

/// The status of an order of somebody new, under a new key.
async fn order(stack: &Stack, event: &PublishedEvent) -> anyhow::Result<u16> {
    order_at(stack.checkout(), stack, event).await
}

async fn order_at(door: &Api, stack: &Stack, event: &PublishedEvent) -> anyhow::Result<u16> {
    let buyer = stack.customer().await?;
    let call = place(door, &buyer, event.id, &[(event.ticket_types[0], 1)]);
    let answer = call.idempotency_key(&new_id().to_string()).send().await?;
    Ok(answer.status)
}

async fn sells(stack: &Stack, event: &PublishedEvent) -> anyhow::Result<()> {
    eventually(SOON, "an order", async || {
        Ok((order(stack, event).await? == 201).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_state_cannot_be_read_stops_alone() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let partition = |event: &PublishedEvent| partition_of(event.id, stack.event_partitions);
    let damaged = event(&stack).await?;
    let mut whole = event(&stack).await?;
    while partition(&whole) == partition(&damaged) {
        whole = event(&stack).await?;
    }
    sells(&stack, &damaged).await?;

    let producer = Producer::new(&stack.kafka_brokers, "damage")?;
    let key = format!("hold/{}", new_id());
    let write = async |payload: Option<&[u8]>| {
        let (topic, headers) = (CHECKOUT_STATE.name, OwnedHeaders::new());
        let sent = producer.send_to(topic, partition(&damaged), &key, headers, payload);
        sent.await
    };
    write(Some(b"no record")).await?;
    stack_command("stop", CHECKOUT).await?;
    stack_command("start", CHECKOUT).await?;

    let seen = async {
        sells(&stack, &whole).await?;
        let status = order(&stack, &damaged).await?;
        let metrics = stack.admin_port(Service::Checkout).get("/metrics");
        anyhow::Ok((status, metrics.send().await?.text()))
    };
    let seen = seen.await;
    // Before anything is judged: the tests after this one need it.
    write(None).await?;
    stack_command("stop", CHECKOUT).await?;
    stack_command("start", CHECKOUT).await?;

    let (status, metrics) = seen?;
    ensure!(status == 503, "an order of the damaged partition: {status}");
    let gauge = format!(
        "checkout_partition_stopped{{partition=\"{}\"}} 1",
        partition(&damaged)
    );
    ensure!(metrics.contains(&gauge), "no {gauge} in {metrics}");
    sells(&stack, &damaged).await
}

/// The partitions that an instance says it has stopped.
fn stopped_in(metrics: &str) -> BTreeSet<i32> {
    let shown = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix("checkout_partition_stopped{partition=\"")?;
        rest.strip_suffix("\"} 1")?.parse().ok()
    });
    shown.collect()
}

/// Somebody else's registry, or a new version that is ahead of this one's.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_nobody_knows_yet_keeps_its_own_partition_back() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let partition = |event: &PublishedEvent| partition_of(event.id, stack.event_partitions);
    let waiting = event(&stack).await?;
    let mut whole = event(&stack).await?;
    while partition(&whole) == partition(&waiting) {
        whole = event(&stack).await?;
    }
    sells(&stack, &waiting).await?;

    let producer = Producer::new(&stack.kafka_brokers, "damage")?;
    let key = format!("hold/{}", new_id());
    let write = async |payload: Option<&[u8]>| {
        let (topic, headers) = (CHECKOUT_STATE.name, OwnedHeaders::new());
        let sent = producer.send_to(topic, partition(&waiting), &key, headers, payload);
        sent.await
    };
    // Framed as Avro is, with an id that no registry has given away.
    write(Some(&[0, 0x7f, 0xff, 0xff, 0xff, 0])).await?;
    stack_command("stop", CHECKOUT).await?;
    stack_command("start", CHECKOUT).await?;
    let late = async |partitions: usize| {
        eventually(SOON, "the gauge of late partitions", async || {
            let metrics = stack.admin_port(Service::Checkout).get("/metrics");
            let metrics = metrics.send().await?.text();
            let line = format!("checkout_partitions_late {partitions}");
            Ok(metrics.lines().any(|shown| shown == line).then_some(()))
        })
        .await
    };
    let seen = async {
        sells(&stack, &whole).await?;
        late(1).await?;
        order(&stack, &waiting).await
    };
    let seen = seen.await;
    // Before anything is judged: the tests after this one need it. No restart: the instance looks again by itself.
    write(None).await?;
    let status = seen?;
    ensure!(
        status == 503,
        "an order of the partition that waits: {status}"
    );
    sells(&stack, &waiting).await?;
    late(0).await
}

/// Some of the partitions move to a second instance, and all of these are damaged. It says so and has its share all the same, so
/// that the group can move on: the next share, which it gets when the first instance stops, it sells.
#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_damaged_partitions_holds_nobody_up() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let events = events(&stack, Spread::EveryPartition, 20).await?;
    try_join_all(events.iter().map(|event| sells(&stack, event))).await?;

    let producer = Producer::new(&stack.kafka_brokers, "damage")?;
    let key = format!("hold/{}", new_id());
    let write_everywhere = async |payload: Option<&[u8]>| {
        let sent = (0..stack.event_partitions).map(|partition| {
            let (topic, headers) = (CHECKOUT_STATE.name, OwnedHeaders::new());
            producer.send_to(topic, partition, &key, headers, payload)
        });
        try_join_all(sent).await
    };
    write_everywhere(Some(b"no record")).await?;
    let seen = async {
        // The first one has its books in memory and reads nothing.
        stack_command("start", SECOND).await?;
        let half = usize::try_from(stack.event_partitions)? / 2;
        let expected = eventually(
            SOON,
            "half of the partitions at the second one",
            async || {
                let metrics = stack.second_checkout_admin().get("/metrics");
                let stopped = stopped_in(&metrics.send().await?.text());
                Ok((stopped.len() == half).then_some(stopped))
            },
        )
        .await?;
        let statuses = try_join_all(events.iter().map(|event| order(&stack, event))).await?;
        write_everywhere(None).await?;
        stack_command("stop", CHECKOUT).await?;
        let moved = events
            .iter()
            .zip(&statuses)
            .filter(|(_, status)| **status == 201);
        let sold = moved.map(|(event, _)| {
            eventually(SOON, "an order of the next share", async || {
                let status = order_at(stack.second_checkout(), &stack, event).await?;
                Ok((status == 201).then_some(()))
            })
        });
        let sold = try_join_all(sold).await;
        anyhow::Ok((expected, statuses, sold))
    };
    let seen = seen.await;
    // Before anything is judged: the tests after this one need it.
    write_everywhere(None).await?;
    stack_command("start", CHECKOUT).await?;
    stack_command("stop", SECOND).await?;

    let (stopped, statuses, sold) = seen?;
    ensure!(statuses.contains(&201), "{statuses:?}");
    for (event, status) in events.iter().zip(&statuses) {
        let partition = partition_of(event.id, stack.event_partitions);
        let expected = if stopped.contains(&partition) {
            503
        } else {
            201
        };
        ensure!(
            *status == expected,
            "partition {partition}: {status}, and stopped are {stopped:?}"
        );
    }
    sold?;
    try_join_all(events.iter().map(|event| sells(&stack, event))).await?;
    Ok(())
}

/// Empties the table of who has which orders: nothing is left that a row with the same time could not replace.
async fn forget_lists(stack: &Stack) -> anyhow::Result<()> {
    let database = SessionBuilder::new()
        .known_nodes(stack.cql_nodes.split(','))
        .use_keyspace("checkout", false)
        .build()
        .await?;
    let emptied = database.query_unpaged("TRUNCATE orders_by_user", ());
    emptied.await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_offsets_of_the_rows_come_back_with_the_next_owner() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let event = event(&stack).await?;
    let buyer = stack.customer().await?;
    let lines = [(event.ticket_types[0], 1)];
    let placed = place(stack.checkout(), &buyer, event.id, &lines);
    let placed = id_of(&placed.send().await?.expect(201)?)?;
    let partition = partition_of(event.id, stack.event_partitions);
    let last = stack.all_records(CHECKOUT_ORDERS.name).await?;
    let last = last
        .iter()
        .rfind(|record| record.partition == partition && record.is::<OrderReserved>())
        .context("the order is on its topic")?
        .offset;

    let mut settings = ClientConfig::new();
    settings.set("bootstrap.servers", &stack.kafka_brokers);
    settings.set("group.id", PROJECTION_GROUP);
    let admin: AdminClient<DefaultClientContext> = settings.create()?;
    let reader: BaseConsumer = settings.create()?;
    let known = || -> anyhow::Result<Offset> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(CHECKOUT_ORDERS.name, partition);
        let committed = reader.committed_offsets(asked, SOON)?;
        Ok(committed.elements()[0].offset())
    };

    // As Kafka does when nothing was committed for a week.
    stack_command("stop", CHECKOUT).await?;
    let gone = admin
        .delete_groups(&[PROJECTION_GROUP], &AdminOptions::new())
        .await;
    let after = known();
    // The rows say nothing of themselves when they are there already.
    let emptied = forget_lists(&stack).await;
    stack_command("start", CHECKOUT).await?;
    emptied?;
    for group in gone? {
        group.map_err(|(group, code)| anyhow::anyhow!("delete {group}: {code}"))?;
    }
    ensure!(after? == Offset::Invalid, "the offsets are still there");
    eventually(SOON, "the row of the order", async || {
        let listed = stack.checkout().get("/v1/orders").by(&buyer).send().await?;
        let listed = listed.expect(200)?.to_string();
        Ok(listed.contains(&placed.to_string()).then_some(()))
    })
    .await?;
    // Nothing was sold since: the owner itself tells how far the rows are, partition by partition.
    eventually(SOON, "the offsets of the rows", async || {
        Ok(matches!(known()?, Offset::Offset(next) if next > last).then_some(()))
    })
    .await?;
    sells(&stack, &event).await
}
