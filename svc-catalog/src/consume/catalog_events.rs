//! `catalog.events`, the service's own table: every instance reads all of it into memory.

use platform::avro::{DecodeError, Registry};
use platform::clock::Timestamp;
use platform::config::KafkaConfig;
use platform::kafka::table::{TableError, TableRecord, read_table};
use platform::money::Money;
use schemas::Record;
use schemas::catalog::{self, EventSnapshot, EventStatus};
use schemas::topics::CATALOG_EVENTS;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::event::{Details, Event, Status, Venue};
use crate::domain::ticket_type::{Terms, TicketType};
use crate::live_events::LiveEvents;
use crate::publish::EVENTS_PARTITIONS;

/// Follows the table until `stop`.
pub async fn run(
    kafka: &KafkaConfig,
    registry: &Registry,
    live: &LiveEvents,
    stop: CancellationToken,
) -> Result<(), TableError> {
    read_table(
        kafka,
        registry,
        CATALOG_EVENTS.name,
        EVENTS_PARTITIONS,
        |record| handle(record, live),
        live.caught_up(),
        stop,
    )
    .await
}

fn handle(record: &TableRecord<'_>, live: &LiveEvents) -> Result<(), DecodeError> {
    match &record.datum {
        Some(datum) if datum.name() == EventSnapshot::NAME => take(datum.read()?, live),
        // A record of a newer version of the catalog, not meant for this one.
        Some(_) => {}
        None => {
            if let Ok(event_id) = record.key.parse::<Uuid>() {
                live.remove(event_id);
            }
        }
    }
    Ok(())
}

fn take(snapshot: EventSnapshot, live: &LiveEvents) {
    let (event_id, version) = (snapshot.event_id, snapshot.version);
    match event(snapshot) {
        Ok(event) => live.put(event),
        Err(NotAll::Draft) => {}
        Err(NotAll::Untold) => live.untold(event_id, version),
        // The row is asked for it.
        Err(NotAll::NotUnderstood) => live.remove(event_id),
    }
}

/// Why a record is no event that could be shown.
#[derive(Debug, PartialEq, Eq)]
enum NotAll {
    /// It is an old one and says too little, but of what is its owner's business alone.
    Draft,
    /// It was written when records said less.
    Untold,
    /// A newer version of the catalog wrote it.
    NotUnderstood,
}

fn event(snapshot: EventSnapshot) -> Result<Event, NotAll> {
    let status = match snapshot.status {
        EventStatus::Unknown => return Err(NotAll::NotUnderstood),
        EventStatus::Draft => Status::Draft,
        EventStatus::Published => Status::Published,
        EventStatus::Cancelled => Status::Cancelled,
        EventStatus::Archived => Status::Archived,
    };
    let ticket_types = snapshot.ticket_types.ok_or(match status {
        Status::Draft => NotAll::Draft,
        _ => NotAll::Untold,
    })?;
    let ticket_types = ticket_types.into_iter().map(ticket_type);
    Ok(Event {
        id: snapshot.event_id,
        version: snapshot.version,
        organizer_id: snapshot.organizer_id,
        status,
        ticket_types: ticket_types
            .collect::<Option<_>>()
            .ok_or(NotAll::NotUnderstood)?,
        details: Details {
            name: snapshot.name,
            kind: snapshot.kind,
            description: snapshot.description,
            venue: Venue {
                name: snapshot.venue.name,
                city: snapshot.venue.city,
                address: snapshot.venue.address,
            },
            starts_at: Timestamp::from_micros(snapshot.starts_at),
            ends_at: Timestamp::from_micros(snapshot.ends_at),
            time_zone: snapshot.time_zone,
            capacity: snapshot.capacity,
            image_url: snapshot.image_url,
            attendance_releases_seat: snapshot.attendance_releases_seat.unwrap_or(false),
        },
    })
}

/// `None`: its currency is one that this version does not know.
fn ticket_type(told: catalog::TicketType) -> Option<TicketType> {
    Some(TicketType {
        id: told.ticket_type_id,
        version: told.version,
        terms: Terms {
            name: told.name,
            kind: told.kind,
            price: Money::new(told.price.amount, told.price.currency.parse().ok()?),
            quantity: told.quantity,
            max_per_buyer: told.max_per_buyer,
            sale_starts_at: told.sale_starts_at.map(Timestamp::from_micros),
            sale_ends_at: told.sale_ends_at.map(Timestamp::from_micros),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::samples::{START, draft, ticket_type};
    use crate::publish::snapshot;

    fn published() -> Event {
        let mut event = draft();
        event.version = 3;
        event.status = Status::Published;
        event.details.attendance_releases_seat = true;
        event.details.image_url = Some("https://example.com/a.jpg".into());
        let mut sold_late = ticket_type(2, 10);
        sold_late.terms.max_per_buyer = Some(4);
        sold_late.terms.sale_ends_at = Some(START);
        event.ticket_types = vec![ticket_type(1, 100), sold_late];
        event
    }

    #[test]
    fn an_event_survives_the_way_over_its_record() {
        let mut closed = published();
        closed.status = Status::Cancelled;
        closed.details.capacity = None;
        for known in [draft(), published(), closed] {
            assert_eq!(event(snapshot(&known)), Ok(known));
        }
    }

    #[test]
    fn what_a_record_leaves_out_is_waited_for() {
        let live = LiveEvents::default();
        live.set_complete();
        let mut old = snapshot(&published());
        old.ticket_types = None;
        let mut old_draft = snapshot(&draft());
        old_draft.event_id = Uuid::from_u128(71);
        old_draft.ticket_types = None;
        take(old, &live);
        take(old_draft, &live);
        let untold = live.watch_untold();
        assert_eq!(*untold.borrow(), [published().id].into());
        take(snapshot(&published()), &live);
        assert!(live.get(published().id).is_some());
        assert!(untold.borrow().is_empty());
    }

    #[test]
    fn what_is_not_understood_is_left_to_the_row() {
        let live = LiveEvents::default();
        live.set_complete();
        take(snapshot(&published()), &live);
        let mut newer = snapshot(&published());
        newer.version += 1;
        newer.status = EventStatus::Unknown;
        take(newer, &live);
        assert!(live.get(published().id).is_none());
        assert!(live.watch_untold().borrow().is_empty());
    }
}
