//! A row of `published_events`.

use platform::clock::Timestamp;
use platform::cql::CqlError;
use platform::money::Money;
use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::from_cql;
use crate::domain::event::{Details, Event, Status, Venue};
use crate::domain::ticket_type::{Terms, TicketType};

#[derive(DeserializeRow)]
pub(super) struct PublishedRow {
    starts_at: CqlTimestamp,
    event_id: Uuid,
    version: i64,
    organizer_id: Uuid,
    name: String,
    #[scylla(rename = "type")]
    kind: String,
    description: String,
    venue_name: String,
    venue_city: String,
    venue_address: String,
    ends_at: CqlTimestamp,
    time_zone: String,
    capacity: Option<i64>,
    image_url: Option<String>,
    ticket_types: String,
}

impl PublishedRow {
    pub(super) fn into_event(self) -> Result<Event, CqlError> {
        Ok(Event {
            id: self.event_id,
            version: self.version,
            organizer_id: self.organizer_id,
            status: Status::Published,
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
            },
            ticket_types: ticket_types(&self.ticket_types)?,
        })
    }
}

/// A ticket type in the column `ticket_types`: JSON, since all of them are written and read together and nothing asks
/// for one alone.
#[derive(Serialize, Deserialize)]
struct TicketTypeText {
    id: Uuid,
    name: String,
    kind: String,
    price: Money,
    quantity: i64,
    max_per_buyer: Option<i64>,
    sale_starts_at: Option<Timestamp>,
    sale_ends_at: Option<Timestamp>,
    version: i64,
}

pub(super) fn ticket_types_text(ticket_types: &[TicketType]) -> Result<String, CqlError> {
    let texts: Vec<_> = ticket_types
        .iter()
        .cloned()
        .map(TicketTypeText::from)
        .collect();
    serde_json::to_string(&texts).map_err(CqlError::answer)
}

fn ticket_types(text: &str) -> Result<Vec<TicketType>, CqlError> {
    let texts: Vec<TicketTypeText> = serde_json::from_str(text).map_err(CqlError::answer)?;
    Ok(texts.into_iter().map(TicketType::from).collect())
}

impl From<TicketType> for TicketTypeText {
    fn from(ticket_type: TicketType) -> Self {
        let TicketType { id, terms, version } = ticket_type;
        Self {
            id,
            name: terms.name,
            kind: terms.kind,
            price: terms.price,
            quantity: terms.quantity,
            max_per_buyer: terms.max_per_buyer,
            sale_starts_at: terms.sale_starts_at,
            sale_ends_at: terms.sale_ends_at,
            version,
        }
    }
}

impl From<TicketTypeText> for TicketType {
    fn from(text: TicketTypeText) -> Self {
        Self {
            id: text.id,
            terms: Terms {
                name: text.name,
                kind: text.kind,
                price: text.price,
                quantity: text.quantity,
                max_per_buyer: text.max_per_buyer,
                sale_starts_at: text.sale_starts_at,
                sale_ends_at: text.sale_ends_at,
            },
            version: text.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::samples::{START, ticket_type};

    #[test]
    fn ticket_types_survive_their_column() {
        let mut sold_late = ticket_type(2, 10);
        sold_late.terms.max_per_buyer = Some(4);
        sold_late.terms.sale_ends_at = Some(START);
        for known in [vec![], vec![ticket_type(1, 100), sold_late]] {
            let text = ticket_types_text(&known).unwrap();
            assert_eq!(ticket_types(&text).unwrap(), known);
        }
    }
}
