//! `checkout.stock`: every instance reads all of it into memory.

use platform::avro::{DecodeError, Registry};
use platform::config::KafkaConfig;
use platform::kafka::table::{TableError, TableRecord, read_table};
use schemas::Record;
use schemas::checkout::{StockLevel, TicketTypeStock, VoucherLevel};
use schemas::topics::CHECKOUT_STOCK;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::stock::{EventStock, TypeStock};
use crate::domain::voucher::VoucherKey;
use crate::live_stock::LiveStock;
use crate::live_vouchers::LiveVouchers;

/// Follows the table until `stop`.
pub async fn run(
    kafka: &KafkaConfig,
    registry: &Registry,
    stock: &LiveStock,
    vouchers: &LiveVouchers,
    stop: CancellationToken,
) -> Result<(), TableError> {
    read_table(
        kafka,
        registry,
        CHECKOUT_STOCK.name,
        kafka.event_partitions,
        |record| handle(record, stock, vouchers),
        stock.caught_up(),
        stop,
    )
    .await
}

fn handle(
    record: &TableRecord<'_>,
    stock: &LiveStock,
    vouchers: &LiveVouchers,
) -> Result<(), DecodeError> {
    match &record.datum {
        Some(datum) if datum.name() == StockLevel::NAME => {
            let level: StockLevel = datum.read()?;
            stock.put(level.event_id, event_stock(&level));
        }
        Some(datum) if datum.name() == VoucherLevel::NAME => {
            let level: VoucherLevel = datum.read()?;
            let (event_id, code) = (level.event_id, level.code);
            vouchers.put(VoucherKey { event_id, code }, level.version, level.uses);
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
        missing_seats: missing_seats(level),
        ticket_types: ticket_types.collect(),
    }
}

/// By how many seats a level does not add up.
fn missing_seats(level: &StockLevel) -> u64 {
    let missing = |stock: &TicketTypeStock| {
        let known = stock.free + stock.held + stock.sold;
        stock.quantity.abs_diff(known)
    };
    level.ticket_types.iter().map(missing).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_that_are_nowhere_or_twice_are_counted() {
        let stock = |quantity, held, sold, free| TicketTypeStock {
            ticket_type_id: Uuid::nil(),
            quantity,
            held,
            sold,
            free,
        };
        let level = |ticket_types| StockLevel {
            event_id: Uuid::nil(),
            version: 1,
            ticket_types,
            at: 0,
        };
        let sum = level(vec![stock(10, 2, 3, 5), stock(1, 1, 2, -2)]);
        assert_eq!(missing_seats(&sum), 0);
        let spoiled = level(vec![stock(10, 2, 3, 4), stock(10, 2, 3, 7)]);
        assert_eq!(missing_seats(&spoiled), 3);
    }
}
