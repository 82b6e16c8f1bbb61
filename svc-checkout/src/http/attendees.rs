//! /v1/events/{id}/attendees

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use platform::auth::{Caller, Role};
use platform::clock::Timestamp;
use platform::http::{Code, IdempotencyKey, Json, Path, Problem};
use platform::ids::{derived_id, new_id};
use platform::intent::Intent;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::beside::Beside;
use super::idempotency::fingerprint;
use super::persons::person;
use super::placing::{UNKNOWN_EVENT_LOOK, UNKNOWN_EVENT_PATIENCE, submit};
use super::refusals;
use super::shapes::{AttendeeOut, TicketOut, ticket_out};
use crate::app::App;
use crate::box_office::client::BoxOffice;
use crate::domain::command::{Command, PlaceOrder};
use crate::domain::guest::{Guest, Standing};
use crate::domain::order::{Order, Status};

/// Somebody for the guest list.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GuestIn)]
pub struct GuestIn {
    /// As it shall stand on the list.
    #[schema(min_length = 1, max_length = 200, example = "Ada Lovelace")]
    pub name: String,
    /// Where the ticket is sent.
    #[schema(max_length = 254, example = "ada@example.com")]
    pub email: String,
    /// With the country code.
    #[schema(example = "+33612345678")]
    #[serde(default)]
    pub phone: Option<String>,
    /// What the ticket is for.
    pub ticket_type_id: Uuid,
}

/// Somebody on the guest list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Guest)]
pub struct GuestOut {
    /// Id, also that of the order's buyer.
    pub id: Uuid,
    /// Who it is; null once erased.
    #[schema(required = true)]
    pub attendee: Option<AttendeeOut>,
    /// The ticket.
    pub ticket: TicketOut,
}

/// Put a guest on the list
///
/// The guest has a ticket at once, for nothing, and gets it by mail in the caller's language. It is a seat like any other:
/// 409 `sold-out` when none is left. Neither the sale window nor a limit per buyer counts. With an `Idempotency-Key` a repeat
/// has no second effect and gets the same ticket.
#[utoipa::path(
    operation_id = "add_attendee",
    post, path = "/v1/events/{id}/attendees", tag = "attendees",
    params(
        ("id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this wish within its event")
    ),
    request_body = GuestIn,
    responses(
        (status = 201, body = GuestOut),
        (status = 403, description = "forbidden: for organizers and admins"),
        (status = 404, description = "not-found: no event, or another organizer's; unknown-ticket-type"),
        (status = 409, description = "sold-out, request-in-progress, sale-closed: not published, or cancelled"),
        (status = 422, description = "invalid, idempotency-key-reused"),
        (status = 503, description = "overloaded, unavailable"),
    ),
    security(("bearer" = []))
)]
pub async fn add(
    State(app): State<App>,
    caller: Caller,
    Path(event_id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    Json(body): Json<GuestIn>,
) -> Result<(StatusCode, axum::Json<GuestOut>), Problem> {
    caller.require(&[Role::Organizer, Role::Admin])?;
    let person = person(&body.name, &body.email, body.phone.as_deref())?;
    organizes(&app, &caller, event_id).await?;
    let user_id = caller.user_id.to_string();
    let command_id = key.as_ref().map_or_else(new_id, |key| {
        derived_id(event_id, &[&user_id, "POST attendees", key.as_str()])
    });
    let guest = Guest::wanted(
        event_id,
        command_id,
        body.ticket_type_id,
        person,
        caller.locale,
        (new_id(), Timestamp::now()),
    );
    let list = &app.guests;
    let known = list.guests.find(guest.id).await;
    same_wish(known.map_err(refusals::database)?.as_ref(), &guest)?;
    // Who it is stands in the table before the box office is asked: a ticket without its guest is never made.
    let intent = list.intents.begin(guest.id).await;
    let intent = intent.map_err(refusals::database)?;
    let is_wanted = list.guests.want(&guest).await;
    let is_wanted = is_wanted.map_err(refusals::database)?;
    let known = list.guests.find(guest.id).await;
    let known = known.map_err(refusals::database)?;
    same_wish(known.as_ref(), &guest)?;
    let order = if is_wanted {
        let command = Command::PlaceOrder(PlaceOrder {
            command_id,
            event_id,
            user_id: guest.id,
            lines: vec![(body.ticket_type_id, 1)],
            voucher: None,
            complimentary: true,
            // Not who it is: the ledger keeps it for ever, and names can be guessed.
            fingerprint: fingerprint(key.as_ref(), &body.ticket_type_id),
            not_after: BoxOffice::not_after(),
        });
        placed(&app, &guest, &command, intent).await?
    } else {
        let order = app.orders.find(guest.order_id).await;
        Arc::new(order.map_err(refusals::database)?.ok_or_else(changing)?)
    };
    let settled = list.intents.settle(&**list, intent).await;
    settled.map_err(Problem::unavailable)?;
    let guest = known.filter(|_| !is_wanted).unwrap_or(guest);
    let out = guest_out(&app, guest, &order).await?;
    Ok((StatusCode::CREATED, axum::Json(out)))
}

/// Take a guest's name, address and number away
///
/// The ticket stays as it is; whoever has it can use it. To take the ticket back, refund its order.
#[utoipa::path(
    operation_id = "erase_attendee",
    delete, path = "/v1/events/{id}/attendees/{guest_id}", tag = "attendees",
    params(("id" = Uuid, Path), ("guest_id" = Uuid, Path)),
    responses(
        (status = 204, description = "nobody knows any more who it was; again is the same"),
        (status = 403, description = "forbidden: for organizers and admins"),
        (status = 404, description = "not-found: no such guest, or of another organizer's event"),
    ),
    security(("bearer" = []))
)]
pub async fn erase(
    State(app): State<App>,
    caller: Caller,
    Path((event_id, guest_id)): Path<(Uuid, Uuid)>,
) -> Result<StatusCode, Problem> {
    caller.require(&[Role::Organizer, Role::Admin])?;
    organizes(&app, &caller, event_id).await?;
    let list = &app.guests;
    let guest = list.guests.find(guest_id).await;
    let guest = guest.map_err(refusals::database)?;
    guest
        .filter(|guest| guest.event_id == event_id && guest.standing != Standing::Wanted)
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let intent = list.intents.begin(guest_id).await;
    let intent = intent.map_err(refusals::database)?;
    let erased = list.guests.erase(guest_id).await;
    erased.map_err(refusals::database)?;
    let settled = list.intents.settle(&**list, intent).await;
    settled.map_err(Problem::unavailable)?;
    Ok(StatusCode::NO_CONTENT)
}

/// 404 for who does not organize the event; admins organize all. A new event is waited for.
async fn organizes(app: &App, caller: &Caller, event_id: Uuid) -> Result<(), Problem> {
    let started = Instant::now();
    loop {
        // Asked first: an event that is not there afterwards does not exist.
        let is_complete = app.inventory.is_complete();
        match app.inventory.get(event_id) {
            Some(event) if event.organizer_id == caller.user_id || caller.has(Role::Admin) => {
                return Ok(());
            }
            Some(_) => return Err(Problem::new(Code::NotFound)),
            None if started.elapsed() < UNKNOWN_EVENT_PATIENCE => {
                tokio::time::sleep(UNKNOWN_EVENT_LOOK).await;
            }
            None if is_complete => return Err(Problem::new(Code::NotFound)),
            None => {
                return Err(Problem::new(Code::Unavailable)
                    .detail("the events are still being read; nothing has happened")
                    .retry_after(1));
            }
        }
    }
}

fn same_wish(known: Option<&Guest>, wanted: &Guest) -> Result<(), Problem> {
    if known.is_none_or(|known| known.is_same_wish(wanted)) {
        Ok(())
    } else {
        Err(Problem::new(Code::IdempotencyKeyReused))
    }
}

/// The guest's order. A guest who gets none is forgotten, unless nobody knows yet.
async fn placed(
    app: &App,
    guest: &Guest,
    command: &Command,
    intent: Intent,
) -> Result<Arc<Order>, Problem> {
    let list = &app.guests;
    let order = match submit(app, command, guest.order_id).await {
        Ok(order) => order,
        Err(refusal) => {
            if refusal.status().is_client_error() {
                let forgotten = list.guests.forget(guest).await;
                forgotten.map_err(refusals::database)?;
                list.intents
                    .done(intent)
                    .await
                    .map_err(refusals::database)?;
            }
            return Err(refusal);
        }
    };
    // A box office of before guests has held it at its price.
    if order.status == Status::Reserved {
        return Err(changing());
    }
    let is_listed = list.guests.list(guest.id).await;
    let is_listed = is_listed.map_err(refusals::database)?;
    // A repeat that was refused meanwhile took the row away.
    let is_gone = !is_listed && list.guests.want(guest).await.map_err(refusals::database)?;
    if is_gone {
        list.guests
            .list(guest.id)
            .await
            .map_err(refusals::database)?;
    }
    Ok(order)
}

fn changing() -> Problem {
    Problem::new(Code::Unavailable)
        .detail("the order is changing")
        .retry_after(1)
}

async fn guest_out(app: &App, guest: Guest, order: &Order) -> Result<GuestOut, Problem> {
    let beside = Beside::of(app, std::slice::from_ref(order)).await?;
    let ticket = order.tickets.first().ok_or_else(changing)?;
    Ok(GuestOut {
        id: guest.id,
        attendee: guest.person.as_ref().map(AttendeeOut::from),
        ticket: ticket_out(order, ticket, &beside, &app.ticket_signer),
    })
}
