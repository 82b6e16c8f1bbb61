//! An order that comes before its event.

use anyhow::bail;
use e2e::orders::place;
use e2e::wait::SOON;
use e2e::{Role, Stack};
use platform::avro::Registry;
use platform::ids::new_id;
use platform::kafka::partition_of;
use platform::kafka::producer::Producer;
use rdkafka::message::OwnedHeaders;
use schemas::Money;
use schemas::catalog::{EventInventory, EventStatus, TicketTypeInventory};
use schemas::topics::{CATALOG_INVENTORY, CHECKOUT_COMMANDS};

/// The door waits for a second, and a busy machine may take as long to write the event.
const TRIES: usize = 5;

fn inventory(organizer_id: uuid::Uuid) -> EventInventory {
    EventInventory {
        event_id: new_id(),
        version: 1,
        status: EventStatus::Published,
        organizer_id,
        currency: "EUR".to_owned(),
        ticket_types: vec![TicketTypeInventory {
            ticket_type_id: new_id(),
            name: "General admission".to_owned(),
            kind: "general".to_owned(),
            price: Money {
                amount: 2_500,
                currency: "EUR".to_owned(),
            },
            quantity: 5,
            max_per_buyer: None,
            sale_starts_at: None,
            sale_ends_at: None,
        }],
        attendance_releases_seat: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_overtakes_its_event_waits_for_it() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let buyer = stack.customer().await?;
    let encoder = Registry::new(&stack.schema_registry_url)?
        .register::<EventInventory>()
        .await?;
    let producer = Producer::new(&stack.kafka_brokers, "new-events")?;
    for _ in 0..TRIES {
        let event = inventory(organizer.id);
        let key = event.event_id.to_string();
        let mut commands = stack.records_from_now(CHECKOUT_COMMANDS.name)?;
        let lines = [(event.ticket_types[0].ticket_type_id, 1)];
        let order = place(stack.checkout(), &buyer, event.event_id, &lines);
        let order = tokio::spawn(order.send());
        // The second one says that the first was told of no event, and that somebody waits.
        for _ in 0..2 {
            let ours = |record: &e2e::SeenRecord| record.key == key;
            commands.wait_for("a command", SOON, ours).await?;
        }
        let payload = encoder.encode(&event);
        let sent = producer.send_to(
            CATALOG_INVENTORY.name,
            partition_of(event.event_id, stack.event_partitions),
            &key,
            OwnedHeaders::new(),
            Some(&payload),
        );
        sent.await?;
        let answer = order.await??;
        if answer.status == 201 {
            return Ok(());
        }
        answer.expect_problem(404, "unknown-event")?;
    }
    bail!("{TRIES} events came within a second and none of their orders was placed")
}
