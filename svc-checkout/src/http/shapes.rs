//! Orders and tickets as the API shows them.

use platform::clock::Timestamp;
use platform::money::Money;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::beside::Beside;
use crate::domain::attendee::Attendance;
use crate::domain::guest::Person;
use crate::domain::order::{Order, Status, Ticket};
use crate::ticket_code::TicketSigner;

/// An order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Order)]
pub struct OrderOut {
    /// Id.
    pub id: Uuid,
    /// Number for people.
    #[schema(example = "O-7G3KQ0ZT5M")]
    pub number: String,
    /// reserved, paid, expired, cancelled or refunded.
    pub status: &'static str,
    /// Event.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// What was ordered.
    pub lines: Vec<LineOut>,
    /// Code of its voucher.
    #[schema(required = true)]
    pub voucher: Option<String>,
    /// What the voucher took off.
    pub discount: Money,
    /// What is to be paid, or was.
    pub total: Money,
    /// End of the hold, while the order is reserved.
    #[schema(required = true)]
    pub expires_at: Option<Timestamp>,
    /// When it was placed.
    pub created_at: Timestamp,
    /// Grows with every change.
    pub version: i64,
    /// Its tickets, once it is paid.
    pub tickets: Vec<TicketOut>,
}

/// Tickets of one type in an order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OrderLine)]
pub struct LineOut {
    /// Ticket type.
    pub ticket_type_id: Uuid,
    /// How many.
    pub quantity: i64,
    /// Price of one.
    pub unit_price: Money,
    /// quantity × unit_price.
    pub line_total: Money,
}

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ticket)]
pub struct TicketOut {
    /// Id.
    pub id: Uuid,
    /// From 1, gapless per event in the order of payment.
    pub number: i64,
    /// Order.
    pub order_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Ticket type.
    pub ticket_type_id: Uuid,
    /// general, vip, …
    pub kind: String,
    /// Price of its line; what a voucher takes off is taken off the order.
    pub price: Money,
    /// The event; null in the first moments of an event's life.
    #[schema(required = true)]
    pub event: Option<TicketEventOut>,
    /// When it was paid.
    pub purchased_at: Timestamp,
    /// valid, admitted or revoked.
    pub status: &'static str,
    /// Signed text for the gate, which checks it with the public key alone. The same ticket has
    /// the same code for ever.
    pub code: String,
    /// Who is going to come; null until somebody is named.
    #[schema(required = true)]
    pub attendee: Option<AttendeeOut>,
    /// pending, confirmed or cancelled.
    pub attendance: &'static str,
}

/// Who is going to come with a ticket.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attendee)]
pub struct AttendeeOut {
    /// Name.
    pub name: String,
    /// E-mail address.
    pub email: String,
    /// Telephone number.
    #[schema(required = true)]
    pub phone: Option<String>,
}

impl From<&Person> for AttendeeOut {
    fn from(person: &Person) -> Self {
        let phone = person.phone.as_ref();
        Self {
            name: person.name.as_str().to_owned(),
            email: person.email.as_str().to_owned(),
            phone: phone.map(|phone| phone.as_str().to_owned()),
        }
    }
}

/// What a ticket says of its event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TicketEvent)]
pub struct TicketEventOut {
    /// Title.
    pub name: String,
    /// Start.
    pub starts_at: Timestamp,
    /// IANA zone of the place.
    pub time_zone: String,
    /// Place.
    pub venue: VenueOut,
}

/// A place.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Venue)]
pub struct VenueOut {
    /// Name of the house.
    pub name: String,
    /// City.
    pub city: String,
    /// Street address.
    pub address: String,
}

/// An order with what its tickets show.
pub fn order_out(order: &Order, beside: &Beside, signer: &TicketSigner) -> OrderOut {
    OrderOut {
        id: order.id,
        number: order.number(),
        status: order.status.as_str(),
        event_id: order.event_id,
        user_id: order.user_id,
        lines: order
            .lines
            .iter()
            .map(|line| LineOut {
                ticket_type_id: line.ticket_type_id,
                quantity: line.quantity,
                unit_price: line.unit_price,
                line_total: line.line_total,
            })
            .collect(),
        voucher: order
            .voucher
            .as_ref()
            .map(|used| used.code.as_str().to_owned()),
        discount: order.discount(),
        total: order.total,
        expires_at: order.expires_at,
        created_at: order.reserved_at,
        version: order.version,
        tickets: order
            .tickets
            .iter()
            .map(|ticket| ticket_out(order, ticket, beside, signer))
            .collect(),
    }
}

/// A ticket of an order.
pub fn ticket_out(
    order: &Order,
    ticket: &Ticket,
    beside: &Beside,
    signer: &TicketSigner,
) -> TicketOut {
    let said = beside.said.get(&ticket.id);
    TicketOut {
        id: ticket.id,
        number: ticket.number,
        order_id: order.id,
        event_id: order.event_id,
        ticket_type_id: ticket.ticket_type_id,
        kind: ticket.kind.to_string(),
        price: ticket.price,
        event: beside
            .events
            .get(&order.event_id)
            .map(|event| TicketEventOut {
                name: event.name.clone(),
                starts_at: event.starts_at,
                time_zone: event.time_zone.clone(),
                venue: VenueOut {
                    name: event.venue_name.clone(),
                    city: event.venue_city.clone(),
                    address: event.venue_address.clone(),
                },
            }),
        purchased_at: order.paid_at.unwrap_or(order.updated_at),
        status: match order.status {
            Status::Paid if !ticket.released => "valid",
            _ => "revoked",
        },
        code: signer.sign(order.event_id, ticket),
        attendee: said.and_then(|said| said.person.as_ref().map(AttendeeOut::from)),
        attendance: match said {
            // Nobody can come with it, whatever was said in the same moment.
            _ if ticket.released => Attendance::Cancelled,
            Some(said) => said.attendance,
            None => Attendance::Pending,
        }
        .as_str(),
    }
}
