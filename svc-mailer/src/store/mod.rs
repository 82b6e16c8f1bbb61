//! CQL and what its rows mean. Notifications are owned rows, written by lightweight transactions alone; everything
//! else are plain upserts that a repeat does not change.

pub mod announced;
pub mod due;
pub mod event;
pub mod notification;
mod notification_cause;
pub mod notification_list;
mod notification_row;
pub mod notification_search;
pub mod recipient;

use platform::clock::Timestamp;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

fn to_cql(at: Timestamp) -> CqlTimestamp {
    CqlTimestamp(at.as_millis())
}

fn from_cql(at: CqlTimestamp) -> Timestamp {
    Timestamp::from_millis(at.0)
}

/// Spreads ids over `buckets` partitions.
fn bucket(id: Uuid, buckets: i32) -> i32 {
    let spread = id.as_u128() % u128::from(buckets.unsigned_abs());
    i32::try_from(spread).unwrap_or_default()
}
