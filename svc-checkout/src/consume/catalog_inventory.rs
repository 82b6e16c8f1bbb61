//! catalog.inventory → the table that the box office and the door look into.

use platform::avro::DecodeError;
use platform::kafka::table::TableRecord;
use schemas::Record as _;
use schemas::catalog::EventInventory;

use crate::box_office::inventory::InventoryTable;
use crate::box_office::records::inventory_in;

/// Takes one record. A tombstone changes nothing: what was sold stays sold, and a deleted event
/// has nothing to sell.
pub fn take(table: &InventoryTable, record: &TableRecord<'_>) -> Result<(), DecodeError> {
    let Some(datum) = &record.datum else {
        return Ok(());
    };
    if datum.name() != EventInventory::NAME {
        return Ok(());
    }
    let read: EventInventory = datum.read()?;
    match inventory_in(&read) {
        Ok(inventory) => table.put(inventory),
        Err(error) => tracing::error!(key = record.key, %error, "inventory not usable"),
    }
    Ok(())
}
