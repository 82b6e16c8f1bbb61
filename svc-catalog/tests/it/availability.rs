//! What is left, before and after the box office has spoken.

use anyhow::{Context as _, ensure};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Role, Stack, TicketType, eventually, orders};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{add_ticket_type, draft, event_body};

#[tokio::test]
async fn before_the_first_order_everything_is_left() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let id = draft(&stack, &organizer, &event_body()).await?;
    let path = format!("/v1/events/{id}/availability");
    let nothing = stack
        .catalog()
        .get(&path)
        .by(&organizer)
        .send()
        .await?
        .expect(200)?;
    ensure!(
        nothing == json!({"ticket_types": [], "version": 0}),
        "{nothing}"
    );

    let general = add_ticket_type(&stack, &organizer, id, &TicketType::general(80)).await?;
    let vip = add_ticket_type(&stack, &organizer, id, &TicketType::vip(20)).await?;
    let publish = stack.catalog().post(format!("/v1/events/{id}/publish"));
    publish.by(&organizer).send().await?.expect(200)?;
    let left = stack.catalog().get(&path).send().await?.expect(200)?;
    let all_of = |id: String, quantity: i64| json!({"id": id, "quantity": quantity, "held": 0, "sold": 0, "available": quantity});
    let expected = [
        all_of(id_of(&general)?.to_string(), 80),
        all_of(id_of(&vip)?.to_string(), 20),
    ];
    ensure!(left["ticket_types"] == json!(expected), "{left}");
    left["version"].as_i64().context("a version")?;
    Ok(())
}

/// The figures of the first ticket type, once they are as expected: the box office tells them a moment after its answer.
async fn wait_for(stack: &Stack, event: Uuid, expected: &Value) -> anyhow::Result<i64> {
    let path = format!("/v1/events/{event}/availability");
    eventually(SOON, &format!("{expected}"), async || {
        let left = stack.catalog().get(&path).send().await?.expect(200)?;
        let figures = left["ticket_types"][0]
            .as_object()
            .context("a ticket type")?;
        let is_there = |(name, wanted): (&String, &Value)| figures.get(name) == Some(wanted);
        let fits = expected.as_object().into_iter().flatten().all(is_there);
        anyhow::ensure!(fits, "it is {left}");
        Ok(left["version"].as_i64())
    })
    .await
}

#[tokio::test]
async fn it_follows_the_box_office() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let buyer = stack.customer().await?;
    let event = stack
        .published_event(&organizer, &[TicketType::general(10)])
        .await?;
    let lines = [(event.ticket_types[0], 3)];
    let place = orders::place(stack.checkout(), &buyer, event.id, &lines);
    let order = id_of(&place.send().await?.expect(201)?)?;
    let held = json!({"quantity": 10, "held": 3, "sold": 0, "available": 7});
    let version = wait_for(&stack, event.id, &held).await?;

    let pay = orders::pay(stack.checkout(), &buyer, order, orders::CARD_PAID);
    pay.send().await?.expect(200)?;
    let sold = json!({"quantity": 10, "held": 0, "sold": 3, "available": 7});
    let newer = wait_for(&stack, event.id, &sold).await?;
    ensure!(newer > version && version > 0, "{version} then {newer}");
    Ok(())
}
