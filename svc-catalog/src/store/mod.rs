//! The tables, and how their rows become what the rules speak of.

pub mod event;
mod event_row;
pub mod events_by_organizer;
pub mod voucher;

use platform::clock::Timestamp;
use scylla::value::CqlTimestamp;

fn to_cql(at: Timestamp) -> CqlTimestamp {
    CqlTimestamp(at.as_millis())
}

fn from_cql(at: CqlTimestamp) -> Timestamp {
    Timestamp::from_millis(at.0)
}
