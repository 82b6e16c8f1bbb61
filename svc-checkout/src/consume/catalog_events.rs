//! catalog.events → what tickets say of their event.

use platform::clock::Timestamp;
use platform::kafka::consumer::{Handler, Incoming, Outcome};
use schemas::Record as _;
use schemas::catalog::EventSnapshot;
use std::sync::Arc;
use uuid::Uuid;

use crate::store::events::{EventInfo, EventStore};

/// Consumer group. Its own: the engines' group may hold nobody but engines.
pub const GROUP: &str = "svc-checkout-events";

/// Keeps the projection.
pub struct CatalogEvents {
    /// The projection.
    pub events: Arc<EventStore>,
}

impl Handler for CatalogEvents {
    async fn handle(&self, record: &Incoming<'_>) -> Outcome {
        let Ok(event_id) = Uuid::parse_str(record.key) else {
            return Outcome::Dead("the key is no event id".into());
        };
        let written = match &record.datum {
            None => self.events.delete(event_id).await,
            Some(datum) if datum.name() == EventSnapshot::NAME => {
                let event: EventSnapshot = match datum.read() {
                    Ok(event) => event,
                    Err(error) => return error.into(),
                };
                let version = event.version;
                self.events.put(event_id, version, &info_of(event)).await
            }
            Some(_) => return Outcome::Done,
        };
        match written {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }
}

/// What a ticket says of an event.
pub fn info_of(event: EventSnapshot) -> EventInfo {
    EventInfo {
        name: event.name,
        starts_at: Timestamp::from_micros(event.starts_at),
        time_zone: event.time_zone,
        venue_name: event.venue.name,
        venue_city: event.venue.city,
        venue_address: event.venue.address,
    }
}
