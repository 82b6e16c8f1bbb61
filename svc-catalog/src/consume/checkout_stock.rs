//! `checkout.stock`: every instance reads all of it into memory.

use platform::avro::{DecodeError, Registry};
use platform::config::KafkaConfig;
use platform::kafka::table::{TableError, TableRecord, read_table};
use schemas::Record;
use schemas::checkout::StockLevel;
use schemas::topics::CHECKOUT_STOCK;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::stock::{EventStock, TypeStock};
use crate::live_stock::LiveStock;

/// Follows the table until `stop`.
pub async fn run(
    kafka: &KafkaConfig,
    registry: &Registry,
    stock: &LiveStock,
    stop: CancellationToken,
) -> Result<(), TableError> {
    read_table(
        kafka,
        registry,
        CHECKOUT_STOCK.name,
        kafka.event_partitions,
        |record| handle(record, stock),
        stock.caught_up(),
        stop,
    )
    .await
}

fn handle(record: &TableRecord<'_>, stock: &LiveStock) -> Result<(), DecodeError> {
    match &record.datum {
        Some(datum) if datum.name() == StockLevel::NAME => {
            let level: StockLevel = datum.read()?;
            stock.put(level.event_id, event_stock(&level));
        }
        // A record of a newer version of the box office, not meant for this one.
        Some(_) => {}
        None => {
            if let Ok(event_id) = record.key.parse::<Uuid>() {
                stock.remove(event_id);
            }
        }
    }
    Ok(())
}

fn event_stock(level: &StockLevel) -> EventStock {
    let ticket_types = level.ticket_types.iter().map(|known| TypeStock {
        ticket_type_id: known.ticket_type_id,
        quantity: known.quantity,
        held: known.held,
        sold: known.sold,
    });
    EventStock {
        version: level.version,
        ticket_types: ticket_types.collect(),
    }
}
