//! A row of `events`: the event's columns, the same in every row, and those of one ticket type.

use platform::cql::CqlError;
use platform::money::Money;
use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::event::StoredEvent;
use super::from_cql;
use crate::domain::event::{Details, Event, Status, Venue};
use crate::domain::ticket_type::{Terms, TicketType};

#[derive(DeserializeRow)]
pub(super) struct EventRow {
    event_id: Uuid,
    version: i64,
    operation_id: Uuid,
    status: String,
    organizer_id: Uuid,
    name: String,
    #[scylla(rename = "type")]
    kind: String,
    description: String,
    venue_name: String,
    venue_city: String,
    venue_address: String,
    starts_at: CqlTimestamp,
    ends_at: CqlTimestamp,
    time_zone: String,
    capacity: Option<i64>,
    image_url: Option<String>,
    attendance_releases_seat: Option<bool>,
    // All of these are null in the one row of an event without ticket types.
    ticket_type_id: Option<Uuid>,
    ticket_name: Option<String>,
    ticket_kind: Option<String>,
    price_amount: Option<i64>,
    price_currency: Option<String>,
    quantity: Option<i64>,
    max_per_buyer: Option<i64>,
    sale_starts_at: Option<CqlTimestamp>,
    sale_ends_at: Option<CqlTimestamp>,
    ticket_version: Option<i64>,
}

impl EventRow {
    /// The event of a partition's rows; `None` for none.
    pub(super) fn into_stored(rows: Vec<Self>) -> Result<Option<StoredEvent>, CqlError> {
        let mut ticket_types = Vec::with_capacity(rows.len());
        let mut stored = None;
        for mut row in rows {
            ticket_types.extend(row.take_ticket_type()?);
            if stored.is_none() {
                stored = Some(row.into_event()?);
            }
        }
        // The id is the clustering column; the database sorts UUIDs its own way.
        ticket_types.sort_by_key(|known: &TicketType| known.id);
        Ok(stored.map(|stored| StoredEvent {
            event: Event {
                ticket_types,
                ..stored.event
            },
            ..stored
        }))
    }

    fn into_event(self) -> Result<StoredEvent, CqlError> {
        Ok(StoredEvent {
            event: Event {
                id: self.event_id,
                version: self.version,
                organizer_id: self.organizer_id,
                status: status(&self.status)?,
                details: Details {
                    name: self.name,
                    kind: self.kind,
                    description: self.description,
                    venue: Venue {
                        name: self.venue_name,
                        city: self.venue_city,
                        address: self.venue_address,
                    },
                    starts_at: from_cql(self.starts_at),
                    ends_at: from_cql(self.ends_at),
                    time_zone: self.time_zone,
                    capacity: self.capacity,
                    image_url: self.image_url,
                    attendance_releases_seat: self.attendance_releases_seat.unwrap_or(false),
                },
                ticket_types: Vec::new(),
            },
            operation_id: self.operation_id,
        })
    }

    fn take_ticket_type(&mut self) -> Result<Option<TicketType>, CqlError> {
        let Some(id) = self.ticket_type_id else {
            return Ok(None);
        };
        let currency = present(self.price_currency.take(), "price_currency")?;
        Ok(Some(TicketType {
            id,
            terms: Terms {
                name: present(self.ticket_name.take(), "ticket_name")?,
                kind: present(self.ticket_kind.take(), "ticket_kind")?,
                price: Money::new(
                    present(self.price_amount, "price_amount")?,
                    currency.parse().map_err(CqlError::answer)?,
                ),
                quantity: present(self.quantity, "quantity")?,
                max_per_buyer: self.max_per_buyer,
                sale_starts_at: self.sale_starts_at.map(from_cql),
                sale_ends_at: self.sale_ends_at.map(from_cql),
            },
            version: present(self.ticket_version, "ticket_version")?,
        }))
    }
}

fn present<T>(value: Option<T>, column: &str) -> Result<T, CqlError> {
    value.ok_or_else(|| CqlError::Answer(format!("a ticket type without {column}")))
}

pub(super) const fn status_text(status: Status) -> &'static str {
    match status {
        Status::Draft => "draft",
        Status::Published => "published",
        Status::Cancelled => "cancelled",
        Status::Archived => "archived",
    }
}

fn status(text: &str) -> Result<Status, CqlError> {
    [
        Status::Draft,
        Status::Published,
        Status::Cancelled,
        Status::Archived,
    ]
    .into_iter()
    .find(|status| status_text(*status) == text)
    .ok_or_else(|| CqlError::Answer(format!("an event with the status {text}")))
}
