//! What a crash between two steps leaves behind, written by hand, and what becomes of it.

use std::time::Duration;

use anyhow::ensure;
use e2e::{Role, Stack, TicketType, eventually};
use platform::ids::new_id;
use schemas::catalog::{EventInventory, EventSnapshot, EventStatus};
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

async fn database(stack: &Stack) -> anyhow::Result<Session> {
    let nodes: Vec<&str> = stack.cql_nodes.split(',').collect();
    let builder = SessionBuilder::new().known_nodes(nodes);
    Ok(builder.use_keyspace(KEYSPACE, false).build().await?)
}

/// Writes down, as of long ago, that this event has to be published.
async fn owe(database: &Session, event: Uuid) -> anyhow::Result<()> {
    let insert = "INSERT INTO intents (bucket, intent_id, aggregate_id, at) VALUES (?, ?, ?, ?)";
    let intent = new_id();
    let bucket = i32::try_from(intent.as_u128() % INTENT_BUCKETS)?;
    database
        .query_unpaged(insert, (bucket, intent, event, CqlTimestamp(0)))
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
    database.query_unpaged(publish, (new_id(), id)).await?;
    // After the row, so that no sweep comes between the two.
    owe(&database, id).await?;

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

    let event = stack
        .catalog()
        .get(format!("/v1/events/{id}"))
        .send()
        .await?
        .expect(200)?;
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
    owe(&database(&stack).await?, nothing).await?;
    for topic in ["catalog.events", "catalog.inventory"] {
        let mut records = stack.records(topic)?;
        let its = |record: &e2e::SeenRecord| record.key == nothing.to_string();
        let record = records.wait_for("a tombstone", SWEPT, its).await?;
        ensure!(record.name.is_empty(), "{record}");
    }
    Ok(())
}
