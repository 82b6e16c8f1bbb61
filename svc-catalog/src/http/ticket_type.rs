//! Ticket types of an event.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use platform::auth::{Caller, OptionalCaller};
use platform::clock::Timestamp;
use platform::http::{Code, ETag, IfMatch, IfNoneMatch, Json, Page, Path, Problem};
use platform::ids::new_id;
use platform::money::Money;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::access::{self, Organizer, Seen};
use super::kept::by_caller;
use super::moment::{Moment, check_clocks};
use super::{invalid, not_changed};
use crate::app::App;
use crate::domain::event::{Event, NotAdded};
use crate::domain::ticket_type::{Terms, TicketType};
use crate::domain::voucher::Voucher;

/// What an organizer says about a ticket type.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TicketTypeIn)]
pub struct TicketTypeIn {
    /// Name on the ticket, 1 to 80 characters.
    #[schema(example = "Stalls", min_length = 1, max_length = 80)]
    name: String,
    /// `general`, `vip`, …; 1 to 40 characters.
    #[schema(example = "general", min_length = 1, max_length = 40)]
    kind: String,
    /// Price of one ticket, from 0 to 100,000,000 minor units. All ticket types of an event have one currency.
    price: Money,
    /// Tickets for sale, 1 to 1,000,000, within the capacity of the event.
    #[schema(minimum = 1, maximum = 1000000)]
    quantity: i64,
    /// Most that one buyer may have, 1 to 10,000.
    #[schema(minimum = 1, maximum = 10000)]
    max_per_buyer: Option<i64>,
    /// Start of the sale; without it from the publication on. No time that clocks in the event's zone skip.
    #[schema(value_type = Option<Timestamp>)]
    sale_starts_at: Option<Moment>,
    /// End of the sale, not after the end of the event. No time that clocks in the event's zone skip.
    #[schema(value_type = Option<Timestamp>)]
    sale_ends_at: Option<Moment>,
}

/// What an event sells.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TicketType)]
pub struct TicketTypeOut {
    /// Id.
    id: Uuid,
    /// Name on the ticket.
    name: String,
    /// `general`, `vip`, …
    kind: String,
    /// Price of one ticket.
    price: Money,
    /// Tickets for sale.
    quantity: i64,
    /// Most that one buyer may have.
    #[schema(required = true)]
    max_per_buyer: Option<i64>,
    /// Start of the sale.
    #[schema(required = true)]
    sale_starts_at: Option<Timestamp>,
    /// End of the sale.
    #[schema(required = true)]
    sale_ends_at: Option<Timestamp>,
    /// The version of the event at the last change of this ticket type; the `ETag`.
    version: i64,
}

/// Add a ticket type
#[utoipa::path(
    operation_id = "create_ticket_type",
    post, path = "/v1/events/{id}/ticket-types", tag = "ticket types", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The event")),
    request_body = TicketTypeIn,
    responses(
        (status = 201, description = "The ticket type", body = TicketTypeOut),
    ),
)]
pub async fn create(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path(event_id): Path<Uuid>,
    Json(input): Json<TicketTypeIn>,
) -> Result<impl IntoResponse, Problem> {
    let (id, sale) = (new_id(), input.sale());
    let terms = Terms::from(input);
    let outlived = outlived(&app, &caller, event_id, &terms).await?;
    let event = app
        .change(event_id, |event| {
            access::owns(&caller, event)?;
            check_clocks(&event.details.time_zone, &sale)?;
            event
                .add_ticket_type(id, terms.clone())
                .map_err(|refusal| match refusal {
                    NotAdded::Invalid(violations) => invalid(&violations),
                    NotAdded::Closed => Problem::new(Code::SaleClosed)
                        .detail("a cancelled or archived event sells nothing any more"),
                })
                .and_then(|next| unless(outlived.as_ref(), next))
        })
        .await?;
    let added = event
        .ticket_type(id)
        .cloned()
        .ok_or_else(|| Problem::internal(anyhow::anyhow!("the added ticket type is not there")))?;
    let location = format!("/v1/events/{event_id}/ticket-types/{id}");
    Ok((
        StatusCode::CREATED,
        ETag(added.version),
        [(header::LOCATION, location)],
        Json(TicketTypeOut::from(added)),
    ))
}

/// List the ticket types of an event
///
/// All on one page, in the order in which they were made.
#[utoipa::path(
    operation_id = "list_ticket_types",
    get, path = "/v1/events/{id}/ticket-types", tag = "ticket types", security((), ("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the client has"),
    ),
    responses(
        (status = 200, description = "The ticket types", body = Page<TicketTypeOut>),
        (status = 304, description = "The client has it"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    OptionalCaller(caller): OptionalCaller,
    Path(event_id): Path<Uuid>,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    let Seen { event, keep } = access::visible(&app, caller.as_ref(), event_id).await?;
    let event = &event.event;
    let answer = if_none_match.answer(&event.version.to_string(), keep, || {
        let ticket_types = event.ticket_types.iter().cloned();
        Json(Page::all(ticket_types.map(TicketTypeOut::from).collect()))
    });
    Ok(by_caller(answer))
}

/// Change a ticket type
///
/// Takes all fields, as they shall be. The quantity may not go below what is held and sold (`below-sold`); orders keep the
/// price they were made with. Without the box office a quantity cannot be lowered (503).
#[utoipa::path(
    operation_id = "change_ticket_type",
    put, path = "/v1/events/{id}/ticket-types/{ticket_type_id}", tag = "ticket types", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("ticket_type_id" = Uuid, Path, description = "The ticket type"),
        ("If-Match" = String, Header, description = "The `ETag` of the ticket type: its `version` as it was read"),
    ),
    request_body = TicketTypeIn,
    responses(
        (status = 200, description = "The ticket type as it is now", body = TicketTypeOut),
    ),
)]
pub async fn change(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path((event_id, id)): Path<(Uuid, Uuid)>,
    if_match: IfMatch,
    Json(input): Json<TicketTypeIn>,
) -> Result<impl IntoResponse, Problem> {
    let sale = input.sale();
    let terms = Terms::from(input);
    let outlived = outlived(&app, &caller, event_id, &terms).await?;
    let event = app
        .change(event_id, |event| {
            access::owns(&caller, event)?;
            if_match.check(version_of(event, id)?)?;
            check_clocks(&event.details.time_zone, &sale)?;
            event
                .change_ticket_type(id, terms.clone())
                .map_err(not_changed)
                .and_then(|next| unless(outlived.as_ref(), next))
        })
        .await?;
    let changed = event.ticket_type(id).cloned().ok_or(Code::NotFound)?;
    Ok((ETag(changed.version), Json(TicketTypeOut::from(changed))))
}

/// Delete a ticket type
///
/// Only while nothing of it is held or sold (`below-sold`), and not the last one of a published event.
#[utoipa::path(
    operation_id = "delete_ticket_type",
    delete, path = "/v1/events/{id}/ticket-types/{ticket_type_id}", tag = "ticket types", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("ticket_type_id" = Uuid, Path, description = "The ticket type"),
        ("If-Match" = Option<String>, Header, description = "Delete this version and no other"),
    ),
    responses(
        (status = 204, description = "It is gone"),
    ),
)]
pub async fn delete(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path((event_id, id)): Path<(Uuid, Uuid)>,
    if_match: Option<IfMatch>,
) -> Result<StatusCode, Problem> {
    app.change(event_id, |event| {
        access::owns(&caller, event)?;
        let version = version_of(event, id)?;
        if_match.as_ref().map_or(Ok(()), |it| it.check(version))?;
        event.remove_ticket_type(id).map(Some).map_err(not_changed)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A voucher that nobody could use any more if a ticket type had these terms. Only a draft can get another currency, and so can
/// one that has no ticket type any more.
async fn outlived(
    app: &App,
    caller: &Caller,
    event_id: Uuid,
    terms: &Terms,
) -> Result<Option<Voucher>, Problem> {
    let event = app.events.find(event_id).await?;
    let event = event.ok_or(Code::NotFound)?;
    access::owns(caller, &event)?;
    let currency = terms.price.currency;
    if event.currency() == Some(currency) {
        return Ok(None);
    }
    app.voucher_in_another(event_id, currency).await
}

/// What the event becomes, unless a voucher would be left behind: of all refusals the last one, since it is the one that
/// takes another call to get over.
fn unless<T>(outlived: Option<&Voucher>, next: T) -> Result<T, Problem> {
    match outlived {
        Some(voucher) => Err(invalid(&voucher.outlived())),
        None => Ok(next),
    }
}

fn version_of(event: &Event, id: Uuid) -> Result<i64, Problem> {
    let known = event.ticket_type(id).ok_or(Code::NotFound)?;
    Ok(known.version)
}

impl TicketTypeIn {
    fn sale(&self) -> [(&'static str, Option<Moment>); 2] {
        [
            ("/sale_starts_at", self.sale_starts_at),
            ("/sale_ends_at", self.sale_ends_at),
        ]
    }
}

impl From<TicketTypeIn> for Terms {
    fn from(input: TicketTypeIn) -> Self {
        Self {
            name: input.name,
            kind: input.kind,
            price: input.price,
            quantity: input.quantity,
            max_per_buyer: input.max_per_buyer,
            sale_starts_at: input.sale_starts_at.map(|moment| moment.at),
            sale_ends_at: input.sale_ends_at.map(|moment| moment.at),
        }
    }
}

impl From<TicketType> for TicketTypeOut {
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
