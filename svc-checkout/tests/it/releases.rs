//! Tickets that are given back: the command, its records, its rows, and what an auditor says of them.

use anyhow::{Context as _, ensure};
use e2e::events::{concert, publish};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Role, Stack, TicketType, eventually};
use platform::avro::Registry;
use platform::clock::Timestamp;
use platform::cql;
use platform::ids::new_id;
use platform::kafka::partition_of;
use platform::kafka::producer::Producer;
use rdkafka::message::OwnedHeaders;
use schemas::checkout::TicketReleased;
use schemas::topics::{CHECKOUT_COMMANDS, CHECKOUT_ORDERS};
use serde_json::{Value, json};
use svc_checkout::audit::{self, Audit};
use svc_checkout::box_office::commands::CommandEncoders;
use svc_checkout::domain::command::{Command, OrderRow, ReleaseTicket};
use svc_checkout::store::orders::OrderStore;
use uuid::Uuid;

use crate::Scene;
use crate::audit::stores;

impl Scene {
    /// An event that takes the seats back of who will not come.
    pub(crate) async fn that_takes_seats_back(ticket_types: &[TicketType]) -> anyhow::Result<Self> {
        let stack = Stack::from_env();
        let organizer = stack.user(&[Role::Customer, Role::Organizer]).await?;
        let mut event = concert(&format!("Seats come back {}", new_id().simple()), 30);
        event["attendance_releases_seat"] = json!(true);
        let event = publish(stack.catalog(), &organizer, &event, ticket_types).await?;
        let buyer = stack.customer().await?;
        Ok(Self {
            stack,
            event,
            organizer,
            buyer,
        })
    }

    pub(crate) async fn shown(&self, order: Uuid) -> anyhow::Result<Value> {
        let shown = self.stack.checkout().get(format!("/v1/orders/{order}"));
        shown.by(&self.buyer).send().await?.expect(200)
    }
}

/// The row of an order as it is now.
async fn row(scene: &Scene, order: Uuid) -> anyhow::Result<OrderRow> {
    let config = stores(&scene.stack, "checkout")?;
    let store = OrderStore::new(cql::connect(&config.cql).await?).await?;
    let order = store.find(order).await?.context("the order has a row")?;
    Ok(OrderRow::from(order))
}

/// Asks the box office for it, as somebody of whom it has never heard.
async fn release(
    scene: &Scene,
    order_id: Uuid,
    ticket_id: Uuid,
    row: &OrderRow,
) -> anyhow::Result<()> {
    let config = stores(&scene.stack, "checkout")?;
    let registry = Registry::new(config.kafka.schema_registry_url.as_str())?;
    let encoders = CommandEncoders::register(&registry).await?;
    let (payload, _) = encoders.encode(&Command::ReleaseTicket(ReleaseTicket {
        command_id: new_id(),
        event_id: scene.event.id,
        order_id,
        ticket_id,
        user_id: scene.buyer.id,
        row: row.clone(),
        fingerprint: [0; 32],
        not_after: Timestamp::MAX,
    }));
    let producer = Producer::new(&config.kafka.brokers, "release")?;
    producer
        .send_to(
            CHECKOUT_COMMANDS.name,
            partition_of(scene.event.id, config.kafka.event_partitions),
            &scene.event.id.to_string(),
            OwnedHeaders::new(),
            Some(&payload),
        )
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_seat_that_is_given_back_is_sold_again_and_given_back_once() -> anyhow::Result<()> {
    let scene = Scene::that_takes_seats_back(&[TicketType::general(3)]).await?;
    let paid = scene.paid_order(2).await?;
    let order = id_of(&paid)?;
    let ticket = id_of(&paid["tickets"][0])?;
    let mut orders = scene.stack.records(CHECKOUT_ORDERS.name)?;
    let as_it_was_paid = row(&scene, order).await?;

    release(&scene, order, ticket, &as_it_was_paid).await?;
    let (_, record) = orders.wait_for_key::<TicketReleased>(order, SOON).await?;
    ensure!(
        record.ticket_id == ticket && record.ticket_type_id == scene.event.ticket_types[0],
        "{record:?}"
    );
    ensure!(record.version == 3, "{record:?}");
    let shown = eventually(SOON, "a dead ticket", async || {
        let shown = scene.shown(order).await?;
        Ok((shown["tickets"][0]["status"] == "revoked").then_some(shown))
    })
    .await?;
    ensure!(
        shown["status"] == "paid" && shown["version"] == 3,
        "{shown}"
    );
    ensure!(shown["tickets"][0]["attendance"] == "cancelled", "{shown}");
    ensure!(shown["tickets"][1]["status"] == "valid", "{shown}");
    ensure!(shown["tickets"][1]["attendance"] == "pending", "{shown}");
    ensure!(scene.stock().await? == (0, 1, 2));

    // Once more, with the row of before and with the one of now. Who comes after them in the log hears when they are decided.
    release(&scene, order, ticket, &as_it_was_paid).await?;
    release(&scene, order, ticket, &row(&scene, order).await?).await?;
    scene.order(2).await?;
    ensure!(scene.stock().await? == (2, 1, 0));
    let all = scene.stack.all_records(CHECKOUT_ORDERS.name).await?;
    let released = all
        .iter()
        .filter(|record| record.is::<TicketReleased>() && record.key == order.to_string());
    ensure!(released.count() == 1, "a second release had an effect");

    let refunded = scene.end(order, "refund", &scene.organizer).send().await?;
    let refunded = refunded.expect(200)?;
    ensure!(refunded["status"] == "refunded", "{refunded}");
    ensure!(scene.stock().await? == (2, 0, 1));

    let this_event = Audit {
        event: Some(scene.event.id),
        ..Audit::default()
    };
    let report = audit::run(&stores(&scene.stack, "checkout")?, &this_event).await?;
    ensure!(report.holds(), "{report}");
    Ok(())
}

#[tokio::test]
async fn an_event_that_keeps_its_seats_keeps_them() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(3)]).await?;
    let paid = scene.paid_order(1).await?;
    let order = id_of(&paid)?;
    let ticket = id_of(&paid["tickets"][0])?;
    release(&scene, order, ticket, &row(&scene, order).await?).await?;
    // Decided after it.
    scene.order(1).await?;
    ensure!(scene.stock().await? == (1, 1, 1));
    let shown = scene.shown(order).await?;
    ensure!(shown["tickets"][0]["status"] == "valid", "{shown}");
    ensure!(shown["version"] == 2, "{shown}");
    Ok(())
}
