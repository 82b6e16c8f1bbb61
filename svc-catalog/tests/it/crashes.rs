//! What a crash between two steps leaves behind, written by hand, and what becomes of it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::vouchers::{half, make};
use e2e::{Role, Stack, TicketType, eventually};
use platform::avro::Registry;
use platform::clock::Timestamp;
use platform::ids::{derived_id, new_id};
use platform::kafka::headers::RecordHeaders;
use platform::kafka::producer::Producer;
use schemas::Record as _;
use schemas::catalog::{EventInventory, EventSnapshot, EventStatus, VoucherTerms, voucher_key};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::value::CqlTimestamp;
use serde_json::json;
use uuid::Uuid;

use crate::{add_ticket_type, draft, event_body};

/// As `infra/local/stack` names it.
const KEYSPACE: &str = "catalog";
/// As `platform::intent` spreads intents.
const INTENT_BUCKETS: u128 = 16;
/// The sweeper looks every five seconds.
const SWEPT: Duration = Duration::from_secs(30);

pub(crate) async fn database(stack: &Stack) -> anyhow::Result<Session> {
    let nodes: Vec<&str> = stack.cql_nodes.split(',').collect();
    let builder = SessionBuilder::new().known_nodes(nodes);
    Ok(builder.use_keyspace(KEYSPACE, false).build().await?)
}

/// Writes down, as of long ago, that `intent` wanted to change this event and has to publish it.
async fn owe(database: &Session, intent: Uuid, event: Uuid) -> anyhow::Result<()> {
    owe_in("intents", database, intent, event).await
}

async fn owe_in(
    table: &str,
    database: &Session,
    intent: Uuid,
    aggregate: Uuid,
) -> anyhow::Result<()> {
    let insert =
        format!("INSERT INTO {table} (bucket, intent_id, aggregate_id, at) VALUES (?, ?, ?, ?)");
    let bucket = i32::try_from(intent.as_u128() % INTENT_BUCKETS)?;
    database
        .query_unpaged(insert, (bucket, intent, aggregate, CqlTimestamp(0)))
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_row_that_was_written_and_not_published_is_published() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let body = event_body();
    let id = draft(&stack, &organizer, &body).await?;
    add_ticket_type(&stack, &organizer, id, &TicketType::general(10)).await?;
    let database = database(&stack).await?;
    let publish = "UPDATE events SET version = 3, status = 'published', operation_id = ? \
         WHERE event_id = ? IF version = 2";
    let intent = new_id();
    database.query_unpaged(publish, (intent, id)).await?;
    // After the row, so that no sweep comes between the two.
    owe(&database, intent, id).await?;

    let newest = |record: &e2e::SeenRecord| {
        let is_third = |version| version == 3;
        record.key == id.to_string()
            && (record
                .read::<EventSnapshot>()
                .is_ok_and(|record| is_third(record.version))
                || record
                    .read::<EventInventory>()
                    .is_ok_and(|record| is_third(record.version)))
    };
    let snapshot = stack
        .records("catalog.events")?
        .wait_for("version 3", SWEPT, newest)
        .await?;
    ensure!(
        snapshot.read::<EventSnapshot>()?.status == EventStatus::Published,
        "{snapshot}"
    );
    stack
        .records("catalog.inventory")?
        .wait_for("version 3", SWEPT, newest)
        .await?;

    let event = stack.catalog().get(format!("/v1/events/{id}"));
    let event = event.by(&organizer).send().await?.expect(200)?;
    let name = event["name"].as_str().unwrap_or_default().replace(' ', "+");
    eventually(SWEPT, "the event in the list", async || {
        let list = stack
            .catalog()
            .get(format!("/v1/events?q={name}"))
            .send()
            .await?
            .expect(200)?;
        Ok((list["items"] == json!([event])).then_some(()))
    })
    .await
}

#[tokio::test]
async fn of_an_event_that_was_never_written_a_tombstone_is_published() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let nothing = new_id();
    owe(&database(&stack).await?, new_id(), nothing).await?;
    for topic in ["catalog.events", "catalog.inventory"] {
        let mut records = stack.records(topic)?;
        let its = |record: &e2e::SeenRecord| record.key == nothing.to_string();
        let record = records.wait_for("a tombstone", SWEPT, its).await?;
        ensure!(record.name.is_empty(), "{record}");
    }
    Ok(())
}

/// The box office granted to sell fewer, and then the handler died before the row said so.
#[tokio::test]
async fn a_grant_that_nobody_used_is_taken_back() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event = stack
        .published_event(&organizer, &[TicketType::general(10)])
        .await?;
    let general = event.ticket_types[0];
    let path = format!("/v1/events/{}", event.id);
    let seen = stack.catalog().get(&path).send().await?.expect(200)?;
    let version = seen["version"].as_i64().context("a version")?;

    let lowered = lower(&stack, event.id, version + 1, general, 4).await?;
    ensure!(lowered == 204, "{lowered}");
    let left = async || {
        let path = format!("{path}/availability");
        let seen = stack.catalog().get(path).send().await?.expect(200)?;
        anyhow::Ok(seen["ticket_types"][0]["available"].as_i64())
    };
    eventually(SWEPT, "four seats to be left", async || {
        Ok((left().await? == Some(4)).then_some(()))
    })
    .await?;

    owe(&database(&stack).await?, new_id(), event.id).await?;
    eventually(SWEPT, "all seats to be there again", async || {
        Ok((left().await? == Some(10)).then_some(()))
    })
    .await?;
    let after = stack.catalog().get(&path).by(&organizer);
    let after = after.send().await?.expect(200)?;
    ensure!(after["version"] == version + 1, "{after}");
    ensure!(after["ticket_types"] == seen["ticket_types"], "{after}");
    Ok(())
}

/// What svc-catalog asks of svc-checkout; the status of the answer.
async fn lower(
    stack: &Stack,
    event: Uuid,
    version: i64,
    ticket_type: Uuid,
    quantity: i64,
) -> anyhow::Result<u16> {
    let token = stack.service_token().await?;
    let path = format!("/internal/events/{event}/quantities");
    let body = json!({
        "version": version,
        "quantities": [{"ticket_type_id": ticket_type, "quantity": quantity}],
    });
    let call = stack.checkout().put(path).token(&token).json(&body);
    Ok(call.send().await?.status)
}

/// An instance of before wrote a record that does not say what an event sells: it is published anew, with all of it.
#[tokio::test]
async fn a_record_that_says_too_little_is_followed_by_one_that_does_not() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event = stack
        .published_event(&organizer, &[TicketType::general(10)])
        .await?;
    let key = event.id.to_string();
    let mut records = stack.records("catalog.events")?;
    let is_third = |record: &e2e::SeenRecord| {
        let snapshot = record.read::<EventSnapshot>();
        record.key == key && snapshot.is_ok_and(|snapshot| snapshot.version == 3)
    };
    let seen = records.wait_for("version 3", SWEPT, is_third).await?;
    let mut old = seen.read::<EventSnapshot>()?;
    let change = "UPDATE events SET version = 4, name = ?, operation_id = ? WHERE event_id = ? IF version = 3";
    let name = crate::fresh_name();
    database(&stack)
        .await?
        .query_unpaged(change, (&name, new_id(), event.id))
        .await?;
    (old.version, old.name, old.ticket_types) = (4, name.clone(), None);
    let registry = Registry::new(&stack.schema_registry_url)?;
    let bytes = registry.register::<EventSnapshot>().await?.encode(&old);
    let headers = RecordHeaders {
        id: new_id(),
        record_name: EventSnapshot::NAME,
        source: "/svc-catalog",
        subject: &key,
        time: Timestamp::now(),
        traceparent: None,
    };
    let (topic, partition) = (EventSnapshot::TOPIC, seen.partition);
    Producer::new(&stack.kafka_brokers, "svc-catalog-it")?
        .send_to(
            topic,
            partition,
            &key,
            headers.to_owned_headers(),
            Some(&bytes),
        )
        .await?;

    let is_whole = |record: &e2e::SeenRecord| {
        let snapshot = record.read::<EventSnapshot>();
        record.key == key
            && snapshot
                .is_ok_and(|it| it.version == 4 && it.ticket_types.is_some_and(|it| it.len() == 1))
    };
    records
        .wait_for("a whole version 4", SWEPT, is_whole)
        .await?;
    let list = format!("/v1/events?q={}", name.replace(' ', "+"));
    eventually(SWEPT, "the event in the list", async || {
        let page = stack.catalog().get(&list).send().await?.expect(200)?;
        Ok((page["items"][0]["version"] == 4).then_some(()))
    })
    .await
}

#[tokio::test]
async fn vouchers_that_were_changed_and_not_published_are_published() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event = draft(&stack, &organizer, &event_body()).await?;
    let database = database(&stack).await?;
    for (code, change) in [("MORE", "max_uses = 9"), ("GONE", "deleted = true")] {
        let voucher = make(stack.catalog(), &organizer, event, &half(code, 5));
        voucher.send().await?.expect(201)?;
        let voucher = derived_id(event, &["voucher", code]);
        let update = format!(
            "UPDATE vouchers SET version = 2, operation_id = ?, {change} WHERE voucher_id = ? IF version = 1"
        );
        let intent = new_id();
        let changed = database.query_unpaged(update, (intent, voucher)).await?;
        ensure!(platform::cql::applied(changed)?, "the row is there");
        owe_in("voucher_intents", &database, intent, voucher).await?;
    }
    let mut records = stack.records("catalog.inventory")?;
    records
        .wait_for("version 2", SWEPT, |record| {
            let terms = record.read::<VoucherTerms>();
            record.key == voucher_key(event, "MORE")
                && terms.is_ok_and(|terms| (terms.version, terms.max_uses) == (2, 9))
        })
        .await?;
    let mut records = stack.records("catalog.inventory")?;
    records
        .wait_for("a tombstone", SWEPT, |record| {
            record.key == voucher_key(event, "GONE") && record.name.is_empty()
        })
        .await?;
    Ok(())
}
