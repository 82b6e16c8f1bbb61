//! What is left of an event's tickets.

use axum::extract::State;
use axum::response::Response;
use platform::auth::OptionalCaller;
use platform::http::{IfNoneMatch, Json, Path, Problem};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::access::{self, Seen};
use super::kept::by_caller;
use crate::app::App;
use crate::domain::stock::{EventStock, TypeStock, availability};
use crate::domain::ticket_type::TicketType;

pub mod stream;

/// What is left of an event's tickets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Availability)]
pub struct AvailabilityOut {
    /// Every ticket type.
    ticket_types: Vec<TypeAvailabilityOut>,
    /// Grows with every change of the stock; 0 before the first order.
    version: i64,
}

/// What is left of one ticket type.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TicketTypeAvailability)]
pub struct TypeAvailabilityOut {
    /// The ticket type.
    id: Uuid,
    /// Tickets for sale.
    quantity: i64,
    /// Held for orders that are not paid yet.
    held: i64,
    /// Paid.
    sold: i64,
    /// Neither held nor sold. Whether they are on sale now, the event and the ticket type say.
    available: i64,
}

/// What is left
///
/// As the box office told it last, usually less than a second ago. An order can still find it sold out.
#[utoipa::path(
    operation_id = "find_availability",
    get, path = "/v1/events/{id}/availability", tag = "availability", security((), ("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the client has"),
    ),
    responses(
        (status = 200, description = "What is left", body = AvailabilityOut),
        (status = 304, description = "The client has it"),
    ),
)]
pub async fn find(
    State(app): State<App>,
    OptionalCaller(caller): OptionalCaller,
    Path(event_id): Path<Uuid>,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    let Seen { event, keep } = access::visible(&app, caller.as_ref(), event_id).await?;
    // Before everything is read, sold tickets would look available.
    app.stock.check().map_err(Problem::unavailable)?;
    let heard = app.stock.get(event_id);
    let stock = heard.as_ref().map(|heard| &heard.stock);
    let out = AvailabilityOut::new(&event.event.ticket_types, stock);
    let tag = format!("{}-{}", event.event.version, out.version);
    Ok(by_caller(if_none_match.answer(&tag, keep, || Json(out))))
}

impl AvailabilityOut {
    fn new(ticket_types: &[TicketType], stock: Option<&EventStock>) -> Self {
        let ticket_types = availability(ticket_types, stock).into_iter();
        Self {
            ticket_types: ticket_types.map(TypeAvailabilityOut::from).collect(),
            version: stock.map_or(0, |stock| stock.version),
        }
    }
}

impl From<TypeStock> for TypeAvailabilityOut {
    fn from(stock: TypeStock) -> Self {
        Self {
            id: stock.ticket_type_id,
            quantity: stock.quantity,
            held: stock.held,
            sold: stock.sold,
            available: stock.available(),
        }
    }
}
