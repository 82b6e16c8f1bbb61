//! checkout.stock → what the door may refuse by itself.

use std::time::Instant;

use platform::avro::DecodeError;
use platform::kafka::table::TableRecord;
use schemas::Record as _;
use schemas::checkout::StockLevel;

use crate::box_office::sold_out::SoldOut;

/// Takes one record.
pub fn take(sold_out: &SoldOut, record: &TableRecord<'_>) -> Result<(), DecodeError> {
    if let Some(datum) = &record.datum
        && datum.name() == StockLevel::NAME
    {
        sold_out.put(&datum.read()?, Instant::now());
    }
    Ok(())
}
