//! What `catalog.events` and `catalog.inventory` end with: for each key the version of its last record.

use std::collections::HashMap;

use futures::future::{join, try_join};
use platform::avro::{DecodeError, Registry};
use platform::config::KafkaConfig;
use platform::kafka::table::{TableError, TableRecord, read_table};
use schemas::Record as _;
use schemas::catalog::{
    EventInventory, EventSnapshot, EventStatus, VoucherTerms, parse_voucher_key,
};
use schemas::topics::{CATALOG_EVENTS, CATALOG_INVENTORY};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::voucher::VoucherKey;
use crate::publish::EVENTS_PARTITIONS;

/// The last record of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// Its version.
    pub version: i64,
    /// Whether it says that the event is a draft: only these are ever deleted.
    pub is_draft: bool,
}

/// By the order in the topics and not by the versions: whether the last one is the newest is what is asked. Keys that end
/// with a tombstone are not here.
#[derive(Debug, Default)]
pub struct LastRecords {
    /// On `catalog.events`.
    pub snapshots: HashMap<Uuid, Last>,
    /// On `catalog.inventory`.
    pub inventories: HashMap<Uuid, Last>,
    /// There as well.
    pub vouchers: HashMap<VoucherKey, i64>,
}

impl LastRecords {
    /// Reads both topics from the beginning to where they end now. While Kafka is away it waits.
    pub async fn read(kafka: &KafkaConfig, registry: &Registry) -> Result<Self, TableError> {
        let mut read = Self::default();
        let Self {
            snapshots,
            inventories,
            vouchers,
        } = &mut read;
        try_join(
            read_to_end(
                kafka,
                registry,
                (CATALOG_EVENTS.name, EVENTS_PARTITIONS),
                |record| take_snapshot(snapshots, record),
            ),
            read_to_end(
                kafka,
                registry,
                (CATALOG_INVENTORY.name, kafka.event_partitions),
                |record| take_inventory(inventories, vouchers, record),
            ),
        )
        .await?;
        Ok(read)
    }
}

async fn read_to_end<F>(
    kafka: &KafkaConfig,
    registry: &Registry,
    (topic, partitions): (&str, i32),
    on_record: F,
) -> Result<(), TableError>
where
    F: FnMut(&TableRecord<'_>) -> Result<(), DecodeError>,
{
    let (caught_up, end) = (watch::Sender::new(false), CancellationToken::new());
    let mut at_end = caught_up.subscribe();
    let reading = read_table(
        kafka,
        registry,
        topic,
        partitions,
        on_record,
        &caught_up,
        end.clone(),
    );
    let ending = async {
        if at_end.wait_for(|at_end| *at_end).await.is_ok() {
            end.cancel();
        }
    };
    join(reading, ending).await.0
}

fn take_snapshot(
    snapshots: &mut HashMap<Uuid, Last>,
    record: &TableRecord<'_>,
) -> Result<(), DecodeError> {
    match &record.datum {
        Some(datum) if datum.name() == EventSnapshot::NAME => {
            let read: EventSnapshot = datum.read()?;
            let last = Last {
                version: read.version,
                is_draft: read.status == EventStatus::Draft,
            };
            snapshots.insert(read.event_id, last);
        }
        Some(_) => {}
        None => {
            if let Ok(event_id) = record.key.parse() {
                snapshots.remove::<Uuid>(&event_id);
            }
        }
    }
    Ok(())
}

fn take_inventory(
    inventories: &mut HashMap<Uuid, Last>,
    vouchers: &mut HashMap<VoucherKey, i64>,
    record: &TableRecord<'_>,
) -> Result<(), DecodeError> {
    match &record.datum {
        Some(datum) if datum.name() == EventInventory::NAME => {
            let read: EventInventory = datum.read()?;
            let last = Last {
                version: read.version,
                is_draft: read.status == EventStatus::Draft,
            };
            inventories.insert(read.event_id, last);
        }
        Some(datum) if datum.name() == VoucherTerms::NAME => {
            let VoucherTerms {
                event_id,
                code,
                version,
                ..
            } = datum.read()?;
            vouchers.insert(VoucherKey { event_id, code }, version);
        }
        Some(_) => {}
        None => {
            if let Some((event_id, code)) = parse_voucher_key(record.key) {
                let code = code.to_owned();
                vouchers.remove(&VoucherKey { event_id, code });
            } else if let Ok(event_id) = record.key.parse() {
                inventories.remove::<Uuid>(&event_id);
            }
        }
    }
    Ok(())
}
