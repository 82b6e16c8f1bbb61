//! catalog.events: what mails say about events.

use platform::kafka::consumer::{Incoming, Outcome};
use schemas::Record as _;
use schemas::catalog::EventSnapshot;

use super::{Handled, id_of, stored, timestamp};
use crate::app::App;
use crate::domain::event::Event;

pub(super) async fn handle(app: &App, record: &Incoming<'_>) -> Handled {
    let Some(datum) = record.datum else {
        return stored(app.delivery.events.delete(id_of(record)?).await);
    };
    if datum.name() != EventSnapshot::NAME {
        return Ok(Outcome::Done);
    }
    let event: EventSnapshot = datum.read()?;
    let event = Event {
        id: event.event_id,
        version: event.version,
        name: event.name,
        venue_name: event.venue.name,
        venue_city: event.venue.city,
        venue_address: event.venue.address,
        starts_at: timestamp(event.starts_at),
        time_zone: event.time_zone,
    };
    stored(app.delivery.events.put(&event).await)
}
