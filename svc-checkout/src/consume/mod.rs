//! One file per topic that is read, but for checkout.commands, which is the box office's.

pub mod catalog_events;
pub mod catalog_inventory;
pub mod checkout_stock;
pub mod identity_users;

use std::sync::Arc;

use platform::avro::{DecodeError, Registry};
use platform::kafka::consumer::{self, ConsumerSpec, Handler};
use platform::kafka::table::{TableRecord, read_table};
use platform::parts::Parts;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::Config;

/// Follows a table topic that is partitioned by event until `stop`, handing its records to `take`.
pub fn spawn_table(
    tasks: &mut Parts,
    config: &Config,
    registry: &Registry,
    topic: &'static str,
    take: impl FnMut(&TableRecord<'_>) -> Result<(), DecodeError> + Send + 'static,
    caught_up: Arc<watch::Sender<bool>>,
    stop: CancellationToken,
) {
    let (kafka, registry) = (config.kafka.clone(), registry.clone());
    tasks.try_spawn(topic, async move {
        let partitions = kafka.event_partitions;
        read_table(&kafka, &registry, topic, partitions, take, &caught_up, stop).await
    });
}

/// Reads topics as a group until `stop`, handing each record to `handler`.
pub fn spawn_consumer(
    tasks: &mut Parts,
    config: &Config,
    registry: &Registry,
    spec: ConsumerSpec,
    handler: impl Handler,
    stop: CancellationToken,
) {
    let (kafka, registry) = (config.kafka.clone(), registry.clone());
    tasks.try_spawn(spec.group.clone(), async move {
        consumer::run(&kafka, &registry, spec, Arc::new(handler), stop).await
    });
}
