//! What a mail says about an event.

use platform::clock::Timestamp;
use uuid::Uuid;

/// An event, as far as a buyer is told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Id.
    pub id: Uuid,
    /// Grows with every change; a mail is written from the newest.
    pub version: i64,
    /// Title.
    pub name: String,
    /// The house.
    pub venue_name: String,
    /// Its city.
    pub venue_city: String,
    /// Its street address.
    pub venue_address: String,
    /// When it starts.
    pub starts_at: Timestamp,
    /// IANA zone of the place: people read the time of the clock at the door.
    pub time_zone: String,
}
