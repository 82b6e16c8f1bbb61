//! catalog.inventory → the tables that the box office and the door look into.

use platform::avro::{Datum, DecodeError};
use platform::kafka::table::TableRecord;
use schemas::Record as _;
use schemas::catalog::{EventInventory, VoucherTerms, parse_voucher_key};

use crate::box_office::inventory::InventoryTable;
use crate::box_office::records::inventory_in;
use crate::box_office::voucher_records::terms_in;
use crate::box_office::vouchers::VoucherTable;
use crate::domain::voucher::VoucherCode;

/// Takes one record.
pub fn take(
    inventory: &InventoryTable,
    vouchers: &VoucherTable,
    record: &TableRecord<'_>,
) -> Result<(), DecodeError> {
    let Some(datum) = &record.datum else {
        forget(vouchers, record.key);
        return Ok(());
    };
    match datum.name() {
        EventInventory::NAME => offer(inventory, record.key, datum),
        VoucherTerms::NAME => voucher(vouchers, record.key, datum),
        _ => Ok(()),
    }
}

fn offer(table: &InventoryTable, key: &str, datum: &Datum<'_>) -> Result<(), DecodeError> {
    let read: EventInventory = datum.read()?;
    match inventory_in(&read) {
        Ok(inventory) => table.put(inventory),
        Err(error) => tracing::error!(key, %error, "inventory not usable"),
    }
    Ok(())
}

fn voucher(table: &VoucherTable, key: &str, datum: &Datum<'_>) -> Result<(), DecodeError> {
    let read: VoucherTerms = datum.read()?;
    match terms_in(&read) {
        Ok((voucher, offer)) => table.put(voucher, offer),
        Err(error) => tracing::error!(key, %error, "voucher not usable"),
    }
    Ok(())
}

/// An event's tombstone changes nothing: what was sold stays sold, and a deleted event has nothing to sell.
fn forget(table: &VoucherTable, key: &str) {
    if let Some((event_id, code)) = parse_voucher_key(key)
        && let Some(code) = VoucherCode::parse(code)
    {
        table.remove(&(event_id, code));
    }
}
