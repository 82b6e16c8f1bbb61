//! Records of svc-catalog.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Micros, Money, record};

/// Where it takes place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Venue {
    /// Name of the house.
    pub name: String,
    /// City.
    pub city: String,
    /// Street address.
    pub address: String,
}

/// Life cycle of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventStatus {
    /// A symbol newer than this reader.
    #[default]
    Unknown,
    /// Draft.
    Draft,
    /// Published.
    Published,
    /// Cancelled.
    Cancelled,
    /// Archived.
    Archived,
}

/// A ticket type, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketType {
    /// Id.
    pub ticket_type_id: Uuid,
    /// Name on the ticket.
    pub name: String,
    /// general, vip, ...
    pub kind: String,
    /// Price of one ticket.
    pub price: Money,
    /// Seats for sale.
    pub quantity: i64,
    /// Limit per buyer, when there is one.
    pub max_per_buyer: Option<i64>,
    /// Start of the sale window.
    pub sale_starts_at: Option<Micros>,
    /// End of the sale window.
    pub sale_ends_at: Option<Micros>,
    /// The version of the event at the last change of this ticket type.
    pub version: i64,
}

/// The newest state of an event, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSnapshot {
    /// The key.
    pub event_id: Uuid,
    /// Grows by one with every change of the event or its ticket types.
    pub version: i64,
    /// Title.
    pub name: String,
    /// Kind of event, such as concert.
    #[serde(rename = "type")]
    pub kind: String,
    /// Plain text.
    pub description: String,
    /// Place.
    pub venue: Venue,
    /// Start, UTC.
    pub starts_at: Micros,
    /// End, UTC.
    pub ends_at: Micros,
    /// IANA zone of the place.
    pub time_zone: String,
    /// Life cycle.
    pub status: EventStatus,
    /// Owner.
    pub organizer_id: Uuid,
    /// People that the place has room for, when there is a limit.
    pub capacity: Option<i64>,
    /// Address of a picture.
    pub image_url: Option<String>,
    /// Every ticket type, in the order of their making. `None`: the record is older than this field.
    pub ticket_types: Option<Vec<TicketType>>,
    /// Whether who will not come gives the seat back; `None`: no.
    pub attendance_releases_seat: Option<bool>,
}

/// What one ticket type sells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketTypeInventory {
    /// Id.
    pub ticket_type_id: Uuid,
    /// Name on the ticket.
    pub name: String,
    /// general, vip, ...
    pub kind: String,
    /// Price of one ticket.
    pub price: Money,
    /// Seats for sale.
    pub quantity: i64,
    /// Limit per buyer, when there is one.
    pub max_per_buyer: Option<i64>,
    /// Start of the sale window.
    pub sale_starts_at: Option<Micros>,
    /// End of the sale window.
    pub sale_ends_at: Option<Micros>,
}

/// What the box office may sell for an event; the newest version counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventInventory {
    /// The key.
    pub event_id: Uuid,
    /// The version of the event.
    pub version: i64,
    /// Only PUBLISHED sells.
    pub status: EventStatus,
    /// Owner.
    pub organizer_id: Uuid,
    /// ISO 4217; one per event.
    pub currency: String,
    /// Every ticket type.
    pub ticket_types: Vec<TicketTypeInventory>,
    /// Whether who will not come gives the seat back; `None`: no.
    pub attendance_releases_seat: Option<bool>,
}

/// What a voucher takes off orders of its event. Key: `<event_id>/voucher/<code>`; a tombstone takes the voucher away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoucherTerms {
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// In upper case; letters, digits, - and _.
    pub code: String,
    /// Grows by one with every change of the voucher, also when it is deleted and made again.
    pub version: i64,
    /// 1 to 100; exactly one of this and `amount_off`.
    pub percent_off: Option<i64>,
    /// Taken off the sum of the lines.
    pub amount_off: Option<Money>,
    /// How many orders can have it.
    pub max_uses: i64,
    /// Orders from then on cannot have it; `None`: no end.
    pub valid_until: Option<Micros>,
}

/// The key of what is said of a voucher, on every topic.
pub fn voucher_key(event_id: Uuid, code: &str) -> String {
    format!("{event_id}/voucher/{code}")
}

/// Event and code of the voucher that a key names; `None`: it names something else.
pub fn parse_voucher_key(key: &str) -> Option<(Uuid, &str)> {
    let (event_id, code) = key.split_once("/voucher/")?;
    Some((event_id.parse().ok()?, code))
}

record!(
    VoucherTerms,
    "catalog.inventory",
    "ticketing.catalog.VoucherTerms",
    "../catalog.inventory/VoucherTerms.avsc"
);
record!(
    EventSnapshot,
    "catalog.events",
    "ticketing.catalog.EventSnapshot",
    "../catalog.events/EventSnapshot.avsc"
);
record!(
    EventInventory,
    "catalog.inventory",
    "ticketing.catalog.EventInventory",
    "../catalog.inventory/EventInventory.avsc"
);
