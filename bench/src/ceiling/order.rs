//! What is sold, and one sale of it.

use std::collections::BTreeMap;

use platform::clock::Timestamp;
use platform::ids::{derived_id, new_id};
use platform::kafka::partition_of;
use tokio::time::Instant;
use uuid::Uuid;

/// Seats of the one ticket type.
pub(crate) const SEATS: i64 = 1_000_000;
/// Price in minor units.
pub(crate) const PRICE: i64 = 2_500;
/// Currency of all prices.
pub(crate) const CURRENCY: &str = "EUR";
/// How long a hold would last, in µs.
const HOLD_US: i64 = 600 * 1_000_000;

/// Bytes of an order's id that are the event's.
const EVENT_BYTES: usize = 5;

/// An event that is sold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    /// Event.
    pub(crate) event_id: Uuid,
    /// Its one ticket type.
    pub(crate) ticket_type_id: Uuid,
    /// Its partition in every topic.
    pub(crate) partition: i32,
}

impl Show {
    /// A new one, in whichever partition it comes to lie.
    pub(crate) fn anywhere(partitions: i32) -> Self {
        let event_id = new_id();
        Self {
            event_id,
            ticket_type_id: new_id(),
            partition: partition_of(event_id, partitions),
        }
    }

    /// A new one in each partition.
    pub(crate) fn everywhere(partitions: i32) -> Vec<Self> {
        let mut shows = BTreeMap::new();
        while shows.len() < usize::try_from(partitions).unwrap_or(0) {
            let show = Self::anywhere(partitions);
            shows.insert(show.partition, show);
        }
        shows.into_values().collect()
    }
}

/// One ticket for one buyer.
#[derive(Debug)]
pub(crate) struct Order {
    /// What for.
    pub(crate) show: Show,
    /// Names the wish.
    pub(crate) command_id: Uuid,
    /// Order.
    pub(crate) id: Uuid,
    /// Buyer.
    pub(crate) user_id: Uuid,
    /// As large as a SHA-256.
    pub(crate) fingerprint: [u8; 32],
    /// When its slot sent it.
    pub(crate) began: Instant,
    /// When its batch was put together.
    pub(crate) reserved_at: Timestamp,
}

impl Order {
    /// The next one of a buyer. As in the box office its id begins with the event's, and so do the ids of all that
    /// are written together.
    pub(crate) fn new(show: Show, user_id: Uuid) -> Self {
        let command_id = new_id();
        let mut id = derived_id(command_id, &["order"]).into_bytes();
        id[..EVENT_BYTES].copy_from_slice(&show.event_id.as_bytes()[16 - EVENT_BYTES..]);
        Self {
            show,
            command_id,
            id: Uuid::from_bytes(id),
            user_id,
            fingerprint: [7; 32],
            began: Instant::now(),
            reserved_at: Timestamp::EPOCH,
        }
    }

    /// The partition of its row: some bits of the event, and 5 more so that a large event has 32 of them.
    pub(crate) fn bucket(&self) -> i64 {
        (self.id.as_u64_pair().0 >> 19) as i64
    }

    /// End of the hold, in µs since the epoch.
    pub(crate) fn expires_at(&self) -> i64 {
        self.reserved_at.as_micros() + HOLD_US
    }
}
