//! What happens to bytes on checkout.commands that are no command.

use std::time::{Duration, Instant};

use e2e::orders::place;
use e2e::{TicketType, wait::SOON};
use platform::avro::Registry;
use platform::config::{Env, KafkaConfig};
use platform::ids::new_id;
use platform::kafka::partition_of;
use platform::kafka::producer::Producer;
use rdkafka::message::OwnedHeaders;
use schemas::checkout::SettleRefund;
use schemas::dead::DeadLetter;
use schemas::topics::CHECKOUT_COMMANDS;

use crate::Scene;

#[tokio::test]
async fn a_poison_command_goes_to_the_dead_and_the_partition_goes_on() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(10)]).await?;
    let kafka = Env::from_process().read(KafkaConfig::from_env)?;
    let dead_topic = format!("{}.svc-checkout.dead", CHECKOUT_COMMANDS.name);
    let mut dead = scene.stack.records_from_now(&dead_topic)?;
    let producer = Producer::new(&kafka.brokers, "poison")?;
    let partition = partition_of(scene.event.id, kafka.event_partitions);
    let registry = Registry::new(kafka.schema_registry_url.as_str())?;
    let encoder = registry.register::<SettleRefund>().await?;
    let whole = encoder.encode(&SettleRefund {
        command_id: new_id(),
        event_id: scene.event.id,
        order_id: new_id(),
        payment_id: new_id(),
    });
    // The schema id of a command, and a string that says it has 400 MiB.
    let huge = [&whole[..5], &[0x80, 0x80, 0x80, 0x90, 0x03, b'x']].concat();
    let poison: [&[u8]; 6] = [
        b"not avro at all",
        &[0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3], // a schema that nobody registered
        &[0],
        b"",
        &whole[..whole.len() - 1],
        &huge,
    ];
    for payload in poison {
        producer
            .send_to(
                CHECKOUT_COMMANDS.name,
                partition,
                &scene.event.id.to_string(),
                OwnedHeaders::new(),
                Some(payload),
            )
            .await?;
    }
    let started = Instant::now();
    place(
        scene.stack.checkout(),
        &scene.buyer,
        scene.event.id,
        &[(scene.event.ticket_types[0], 1)],
    )
    .send()
    .await?
    .expect(201)?;
    let waited = started.elapsed();
    assert!(
        waited < Duration::from_secs(1),
        "the partition stood still for {waited:?}"
    );
    let mut reasons = Vec::new();
    for payload in poison {
        let record = dead
            .wait_for("a dead letter of this partition", SOON, |record| {
                record
                    .read::<DeadLetter>()
                    .is_ok_and(|letter| letter.partition == partition)
            })
            .await?;
        let letter: DeadLetter = record.read()?;
        assert_eq!(letter.topic, CHECKOUT_COMMANDS.name);
        assert_eq!(
            letter.payload.as_deref(),
            Some(payload),
            "{}",
            letter.reason
        );
        reasons.push(letter.reason);
    }
    // Refused by its length, and not after half a gigabyte was set aside for it.
    let of_huge = reasons.last().map(String::as_str).unwrap_or_default();
    assert!(of_huge.contains("maximum allowed: 1048576"), "{of_huge}");
    Ok(())
}
