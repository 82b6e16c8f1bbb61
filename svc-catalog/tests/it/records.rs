//! What the catalog tells the other services, also when many changes meet.

use anyhow::{Context as _, ensure};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Role, SeenRecord, Stack, TicketType, eventually};
use platform::kafka::partition_of;
use schemas::catalog::{EventInventory, EventSnapshot, EventStatus, TicketTypeInventory};
use serde_json::json;
use uuid::Uuid;

use crate::{add_ticket_type, draft, event_body, fresh_name};

/// The last record of an event on a topic.
async fn last(stack: &Stack, topic: &str, event: Uuid) -> anyhow::Result<Option<SeenRecord>> {
    let records = stack.all_records(topic).await?;
    Ok(records
        .into_iter()
        .rfind(|record| record.key == event.to_string()))
}

/// The last snapshot and the last inventory, which are there before a change is answered.
async fn published(stack: &Stack, event: Uuid) -> anyhow::Result<(EventSnapshot, EventInventory)> {
    let snapshot = last(stack, "catalog.events", event)
        .await?
        .context("a snapshot")?;
    let inventory = last(stack, "catalog.inventory", event)
        .await?
        .context("an inventory")?;
    Ok((snapshot.read()?, inventory.read()?))
}

#[tokio::test]
async fn records_say_what_the_event_is() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let id = draft(&stack, &organizer, &event_body()).await?;
    ensure!(
        last(&stack, "catalog.inventory", id).await?.is_none(),
        "nothing to sell, and no currency that it would be sold in"
    );
    let drafted = last(&stack, "catalog.events", id)
        .await?
        .context("a snapshot")?;
    ensure!(drafted.partition == partition_of(id, 6), "{drafted}");
    ensure!(
        drafted.headers["ce_type"] == "ticketing.catalog.EventSnapshot",
        "{drafted:?}"
    );
    ensure!(
        drafted.headers["ce_subject"] == id.to_string(),
        "{drafted:?}"
    );
    let drafted: EventSnapshot = drafted.read()?;
    ensure!(
        drafted.version == 1 && drafted.status == EventStatus::Draft,
        "{drafted:?}"
    );

    let general = add_ticket_type(&stack, &organizer, id, &TicketType::general(80)).await?;
    let vip = TicketType::vip(20).at_most(4);
    let vip = add_ticket_type(&stack, &organizer, id, &vip).await?;
    let path = format!("/v1/events/{id}");
    let publish = stack
        .catalog()
        .post(format!("{path}/publish"))
        .by(&organizer);
    let event = publish.send().await?.expect(200)?;

    let (snapshot, inventory) = published(&stack, id).await?;
    let record = last(&stack, "catalog.inventory", id)
        .await?
        .context("an inventory")?;
    ensure!(
        record.partition == partition_of(id, stack.event_partitions),
        "{record}"
    );
    ensure!(
        snapshot.version == 4 && snapshot.status == EventStatus::Published,
        "{snapshot:?}"
    );
    ensure!(
        event["name"] == snapshot.name && event["type"] == snapshot.kind,
        "{snapshot:?}"
    );
    ensure!(event["venue"] == json!(snapshot.venue), "{snapshot:?}");
    ensure!(snapshot.organizer_id == organizer.id, "{snapshot:?}");
    ensure!(snapshot.time_zone == "Europe/Paris", "{snapshot:?}");

    ensure!(
        inventory.version == 4 && inventory.status == EventStatus::Published,
        "{inventory:?}"
    );
    ensure!(
        inventory.currency == "EUR" && inventory.event_id == id,
        "{inventory:?}"
    );
    // None was said for the sale, so it ends with the event.
    let ends = |told: &TicketTypeInventory| told.sale_ends_at == Some(snapshot.ends_at);
    ensure!(inventory.ticket_types.iter().all(ends), "{inventory:?}");
    let sold: Vec<_> = inventory
        .ticket_types
        .iter()
        .map(|t| {
            (
                t.ticket_type_id,
                t.kind.as_str(),
                t.price.amount,
                t.quantity,
                t.max_per_buyer,
            )
        })
        .collect();
    let expected = [
        (id_of(&general)?, "general", 2_500, 80, None),
        (id_of(&vip)?, "vip", 7_500, 20, Some(4)),
    ];
    ensure!(sold == expected, "{sold:?}");

    let cancel = stack.catalog().post(format!("{path}/cancel"));
    cancel.by(&organizer).send().await?.expect(200)?;
    let (snapshot, inventory) = published(&stack, id).await?;
    ensure!(
        snapshot.version == 5 && snapshot.status == EventStatus::Cancelled,
        "{snapshot:?}"
    );
    ensure!(
        inventory.version == 5 && inventory.status == EventStatus::Cancelled,
        "{inventory:?}"
    );
    ensure!(inventory.ticket_types.len() == 2, "{inventory:?}");
    Ok(())
}

#[tokio::test]
async fn a_draft_that_sells_nothing_any_more_has_no_inventory() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let id = draft(&stack, &organizer, &event_body()).await?;
    let general = add_ticket_type(&stack, &organizer, id, &TicketType::general(80)).await?;
    let path = format!("/v1/events/{id}/ticket-types/{}", id_of(&general)?);
    let gone = stack.catalog().delete(path).by(&organizer).send().await?;
    ensure!(gone.status == 204, "{gone}");
    let last_one = last(&stack, "catalog.inventory", id).await?;
    let last_one = last_one.context("a record")?;
    ensure!(
        last_one.is_tombstone(),
        "it still says what was sold: {last_one}"
    );

    add_ticket_type(&stack, &organizer, id, &TicketType::vip(8)).await?;
    let (snapshot, inventory) = published(&stack, id).await?;
    ensure!(
        (snapshot.version, inventory.version) == (4, 4),
        "{inventory:?}"
    );
    Ok(())
}

#[tokio::test]
async fn records_say_whether_seats_come_back() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let mut body = event_body();
    body["attendance_releases_seat"] = json!(true);
    let id = draft(&stack, &organizer, &body).await?;
    add_ticket_type(&stack, &organizer, id, &TicketType::general(80)).await?;
    let (snapshot, inventory) = published(&stack, id).await?;
    let said = [
        snapshot.attendance_releases_seat,
        inventory.attendance_releases_seat,
    ];
    ensure!(said == [Some(true); 2], "{said:?}");

    // Who leaves it out says no.
    let put = stack.catalog().put(format!("/v1/events/{id}"));
    let changed = put.by(&organizer).if_match("*").json(&event_body());
    let changed = changed.send().await?.expect(200)?;
    ensure!(changed["attendance_releases_seat"] == false, "{changed}");
    let (snapshot, inventory) = published(&stack, id).await?;
    let said = [
        snapshot.attendance_releases_seat,
        inventory.attendance_releases_seat,
    ];
    ensure!(said == [None; 2], "{said:?}");
    Ok(())
}

/// Ten ticket types of 100 at once for an event with room for 600: six get in, and the newest version is what the
/// topics and the list end with.
#[tokio::test]
async fn ten_changes_at_once_are_all_decided() -> anyhow::Result<()> {
    const AT_ONCE: usize = 10;
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let mut body = event_body();
    body["name"] = json!(fresh_name());
    body["capacity"] = json!(600);
    let id = draft(&stack, &organizer, &body).await?;
    let path = format!("/v1/events/{id}/ticket-types");
    let calls = (0..AT_ONCE).map(|_| {
        let call = stack.catalog().post(&path).by(&organizer);
        tokio::spawn(call.json(&TicketType::general(100).body()).send())
    });
    let (mut added, mut refused) = (Vec::new(), 0);
    for call in calls.collect::<Vec<_>>() {
        let answer = call.await??;
        if answer.status == 201 {
            added.push(answer.body);
        } else {
            let problem = answer.expect_problem(422, "invalid")?;
            ensure!(problem["errors"][0]["code"] == "capacity", "{problem}");
            refused += 1;
        }
    }
    ensure!(
        (added.len(), refused) == (6, 4),
        "{} in and {refused} out",
        added.len()
    );

    let event = stack
        .catalog()
        .get(format!("/v1/events/{id}"))
        .by(&organizer);
    let event = event.send().await?.expect(200)?;
    ensure!(event["version"] == 7, "{event}");
    added.sort_by_key(|ticket_type| ticket_type["id"].as_str().map(str::to_owned));
    ensure!(event["ticket_types"] == json!(added), "{event}");
    let mut versions: Vec<_> = added.iter().filter_map(|t| t["version"].as_i64()).collect();
    versions.sort_unstable();
    ensure!(
        versions == [2, 3, 4, 5, 6, 7],
        "each version is one change: {versions:?}"
    );

    let (snapshot, inventory) = published(&stack, id).await?;
    ensure!(
        (snapshot.version, inventory.version) == (7, 7),
        "{snapshot:?} {inventory:?}"
    );
    ensure!(inventory.ticket_types.len() == 6, "{inventory:?}");
    Ok(())
}

/// What the readers keep is the newest version, and it stays so after everything has come to rest.
#[tokio::test]
async fn a_publication_among_other_changes_reaches_the_list() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let body = event_body();
    let id = draft(&stack, &organizer, &body).await?;
    add_ticket_type(&stack, &organizer, id, &TicketType::general(10)).await?;
    let path = format!("/v1/events/{id}");
    let publish = stack
        .catalog()
        .post(format!("{path}/publish"))
        .by(&organizer);
    let add = stack
        .catalog()
        .post(format!("{path}/ticket-types"))
        .by(&organizer);
    let add = add.json(&TicketType::vip(1).body());
    let mut calls = vec![tokio::spawn(publish.send())];
    calls.extend((0..4).map(|_| tokio::spawn(add.clone().send())));
    for call in calls {
        let answer = call.await??;
        ensure!(matches!(answer.status, 200 | 201), "{answer}");
    }
    let event = stack.catalog().get(&path).send().await?.expect(200)?;
    ensure!(event["version"] == 7, "{event}");
    let name = body["name"].as_str().context("a name")?.replace(' ', "+");
    eventually(SOON, "the newest version in the list", async || {
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
