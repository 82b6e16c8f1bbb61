//! What the catalog tells: `catalog.events`, to itself as well, and `catalog.inventory`.

use std::sync::Arc;

use futures::future::try_join;
use platform::avro::{Encoder, Registry, RegistryError};
use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::cql::CqlError;
use platform::ids::derived_id;
use platform::intent::{Intent, Published};
use platform::kafka::headers::RecordHeaders;
use platform::kafka::producer::{ProduceError, Producer};
use schemas::catalog::{self, EventInventory, EventSnapshot, EventStatus, TicketTypeInventory};
use schemas::topics::{CATALOG_EVENTS, Partitions};
use schemas::{Money, Record};
use uuid::Uuid;

use crate::domain::event::{Event, Status};
use crate::domain::ticket_type::TicketType;
use crate::live_events::LiveEvents;
use crate::store::event::Events;

pub(crate) const SOURCE: &str = "/svc-catalog";

/// Partitions of `catalog.events`.
pub(crate) const EVENTS_PARTITIONS: i32 = match CATALOG_EVENTS.partitions {
    Partitions::ByKey(count) => count,
    Partitions::ByEvent => panic!("catalog.events is partitioned by key"),
};

/// The encoders of the records of this service.
pub struct Encoders {
    snapshot: Encoder<EventSnapshot>,
    inventory: Encoder<EventInventory>,
}

impl Encoders {
    /// Registers the records; doing it again changes nothing.
    pub async fn register(registry: &Registry) -> Result<Self, RegistryError> {
        Ok(Self {
            snapshot: registry.register().await?,
            inventory: registry.register().await?,
        })
    }
}

/// Publishes events: see [`platform::intent`] for when and why.
pub struct EventPublication {
    /// Where the truth is.
    pub events: Arc<Events>,
    /// What this instance knows. It need not wait until it reads its own records.
    pub live: Arc<LiveEvents>,
    /// Writes the records.
    pub encoders: Encoders,
    /// Sends them.
    pub producer: Producer,
    /// Partitions of `catalog.inventory`.
    pub event_partitions: i32,
}

impl Published for EventPublication {
    type Row = Event;

    async fn read(&self, id: Uuid) -> Result<Option<Event>, CqlError> {
        let stored = self.events.find_serial(id).await?;
        Ok(stored.map(|stored| stored.event))
    }

    /// The box office may have granted to sell less, for a version that was never made. The event gets that version as it
    /// is, and the grant goes.
    async fn abandoned(&self, intent: Intent) -> Result<(), CqlError> {
        let Some(stored) = self.events.find_serial(intent.aggregate_id).await? else {
            return Ok(());
        };
        let event = stored.event;
        // Not under the intent's own id: its handler, if it should still live, must not take this for its change.
        let restating = derived_id(intent.id, &["abandoned"]);
        let is_done = [intent.id, restating].contains(&stored.operation_id);
        if !is_done && event.status == Status::Published {
            // False: somebody else makes the next version, which does it as well.
            self.events
                .replace(&event, &event.restated(), restating)
                .await?;
        }
        Ok(())
    }

    fn version(event: &Event) -> i64 {
        event.version
    }

    async fn produce(&self, id: Uuid, event: Option<&Event>) -> Result<(), ProduceError> {
        let Some(event) = event else {
            try_join(
                self.send::<EventSnapshot>(EVENTS_PARTITIONS, id, 0, None),
                self.send::<EventInventory>(self.event_partitions, id, 0, None),
            )
            .await?;
            self.live.remove(id);
            return Ok(());
        };
        let snapshot = self.encoders.snapshot.encode(&snapshot(event));
        let inventory = inventory(event).map(|record| self.encoders.inventory.encode(&record));
        let inventory_sent = async {
            // A first version never sold anything; a later one may have, and what it sold is gone.
            if inventory.is_none() && event.version == 1 {
                return Ok(());
            }
            let (partitions, bytes) = (self.event_partitions, inventory.as_deref());
            self.send::<EventInventory>(partitions, id, event.version, bytes)
                .await
        };
        let snapshot_sent =
            self.send::<EventSnapshot>(EVENTS_PARTITIONS, id, event.version, Some(&snapshot));
        try_join(snapshot_sent, inventory_sent).await?;
        self.live.put(event.clone());
        Ok(())
    }
}

impl EventPublication {
    async fn send<R: Record>(
        &self,
        partitions: i32,
        event_id: Uuid,
        version: i64,
        payload: Option<&[u8]>,
    ) -> Result<(), ProduceError> {
        let context = RequestContext::current();
        let headers = RecordHeaders {
            id: derived_id(event_id, &[R::NAME, &version.to_string()]),
            record_name: R::NAME,
            source: SOURCE,
            subject: &event_id.to_string(),
            time: Timestamp::now(),
            traceparent: context.as_ref().map(RequestContext::traceparent),
        };
        self.producer
            .send(
                R::TOPIC,
                partitions,
                event_id,
                headers.to_owned_headers(),
                payload,
            )
            .await
    }
}

pub(crate) fn snapshot(event: &Event) -> EventSnapshot {
    let details = &event.details;
    EventSnapshot {
        event_id: event.id,
        version: event.version,
        name: details.name.clone(),
        kind: details.kind.clone(),
        description: details.description.clone(),
        venue: catalog::Venue {
            name: details.venue.name.clone(),
            city: details.venue.city.clone(),
            address: details.venue.address.clone(),
        },
        starts_at: details.starts_at.as_micros(),
        ends_at: details.ends_at.as_micros(),
        time_zone: details.time_zone.clone(),
        status: status(event.status),
        organizer_id: event.organizer_id,
        capacity: details.capacity,
        image_url: details.image_url.clone(),
        ticket_types: Some(event.ticket_types.iter().map(shown_ticket_type).collect()),
        attendance_releases_seat: details.attendance_releases_seat.then_some(true),
    }
}

fn shown_ticket_type(ticket_type: &TicketType) -> catalog::TicketType {
    let terms = &ticket_type.terms;
    catalog::TicketType {
        ticket_type_id: ticket_type.id,
        name: terms.name.clone(),
        kind: terms.kind.clone(),
        price: money(terms.price),
        quantity: terms.quantity,
        max_per_buyer: terms.max_per_buyer,
        sale_starts_at: terms.sale_starts_at.map(Timestamp::as_micros),
        sale_ends_at: terms.sale_ends_at.map(Timestamp::as_micros),
        version: ticket_type.version,
    }
}

/// What the box office may sell. `None` without a ticket type: there is nothing to sell and no currency.
fn inventory(event: &Event) -> Option<EventInventory> {
    Some(EventInventory {
        event_id: event.id,
        version: event.version,
        status: status(event.status),
        organizer_id: event.organizer_id,
        currency: event.currency()?.to_string(),
        ticket_types: event
            .ticket_types
            .iter()
            .map(|ticket_type| sold_ticket_type(ticket_type, event.details.ends_at))
            .collect(),
        attendance_releases_seat: event.details.attendance_releases_seat.then_some(true),
    })
}

/// A sale ends with its event at the latest.
fn sold_ticket_type(ticket_type: &TicketType, event_ends_at: Timestamp) -> TicketTypeInventory {
    let terms = &ticket_type.terms;
    TicketTypeInventory {
        ticket_type_id: ticket_type.id,
        name: terms.name.clone(),
        kind: terms.kind.clone(),
        price: money(terms.price),
        quantity: terms.quantity,
        max_per_buyer: terms.max_per_buyer,
        sale_starts_at: terms.sale_starts_at.map(Timestamp::as_micros),
        sale_ends_at: Some(terms.sale_ends_at.unwrap_or(event_ends_at).as_micros()),
    }
}

fn money(price: platform::money::Money) -> Money {
    Money {
        amount: price.amount,
        currency: price.currency.to_string(),
    }
}

fn status(status: Status) -> EventStatus {
    match status {
        Status::Draft => EventStatus::Draft,
        Status::Published => EventStatus::Published,
        Status::Cancelled => EventStatus::Cancelled,
        Status::Archived => EventStatus::Archived,
    }
}
