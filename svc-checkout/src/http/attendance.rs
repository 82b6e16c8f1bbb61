//! /v1/tickets/{id}/attendance

use axum::extract::State;
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::{Code, IdempotencyKey, Json, Path, Problem};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::beside::Beside;
use super::changes::{ROW_LOOK, ROW_PATIENCE, command_id, row_once};
use super::idempotency::fingerprint;
use super::own_ticket::{change, changing, find, order_of, said_of, ticket_of};
use super::refusals;
use super::shapes::{TicketOut, ticket_out};
use crate::app::App;
use crate::box_office::client::{BoxOffice, SubmitError};
use crate::domain::attendee::{Attendance, Attendee};
use crate::domain::command::{Answer, Command, OrderRow, Refusal, ReleaseTicket};
use crate::domain::order::{Fingerprint, Order, Status};

/// Whether somebody will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AttendanceStatus)]
pub enum AttendanceStatusIn {
    /// Somebody will.
    Confirmed,
    /// Nobody will.
    Cancelled,
}

/// What the owner of a ticket says.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AttendanceIn)]
pub struct AttendanceIn {
    /// Whether somebody will come.
    pub status: AttendanceStatusIn,
}

/// A wish with its name.
struct Wish {
    ticket_id: Uuid,
    operation_id: Uuid,
    attendance: Attendance,
    fingerprint: Fingerprint,
}

/// Say whether somebody will come with a ticket
///
/// Where the event takes seats back (`attendance_releases_seat`), a cancelled attendance gives the seat back for good: the
/// ticket is revoked, somebody else may buy the seat, and no money moves. Elsewhere the ticket stays valid and its owner may
/// say otherwise later.
#[utoipa::path(
    operation_id = "set_attendance",
    post, path = "/v1/tickets/{id}/attendance", tag = "tickets",
    params(
        ("id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this wish within its ticket")
    ),
    request_body = AttendanceIn,
    responses(
        (status = 200, description = "the ticket as it is now", body = TicketOut),
        (status = 404, description = "not-found: not there, or not yours; or you were erased"),
        (status = 409, description = "revoked: the ticket was given back, or its order was refunded; request-in-progress"),
        (status = 422, description = "invalid, idempotency-key-reused"),
        (status = 503, description = "overloaded, unavailable"),
    ),
    security(("bearer" = []))
)]
pub async fn say(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    Json(body): Json<AttendanceIn>,
) -> Result<axum::Json<TicketOut>, Problem> {
    let order = order_of(&app, &caller, id).await?;
    let wish = Wish {
        ticket_id: id,
        operation_id: command_id(id, &caller, "POST attendance", key.as_ref()),
        attendance: match body.status {
            AttendanceStatusIn::Confirmed => Attendance::Confirmed,
            AttendanceStatusIn::Cancelled => Attendance::Cancelled,
        },
        fingerprint: fingerprint(key.as_ref(), &body),
    };
    if is_repeat(&said_of(&app, &order, id).await?, &wish)? {
        // What it did may have come after the order was read.
        let order = find(&app, order.id).await?;
        return shown(&app, &order, id).await;
    }
    let order = match wish.attendance {
        Attendance::Cancelled => given_back(&app, &caller, order, &wish).await?,
        _ => order,
    };
    let is_released = ticket_of(&order, id)?.released;
    let is_cancelled = wish.attendance == Attendance::Cancelled;
    if order.status != Status::Paid || (is_released && !is_cancelled) {
        return Err(Problem::new(Code::Revoked));
    }
    change(&app, &order, id, |said| {
        // Of a ticket that was given back nothing else can be said any more.
        let is_final = is_released && said.attendance == wish.attendance;
        Ok(if is_repeat(said, &wish)? || is_final {
            None
        } else {
            let operation = (wish.operation_id, wish.fingerprint);
            Some(said.say(wish.attendance, operation, Timestamp::now()))
        })
    })
    .await?;
    shown(&app, &order, id).await
}

/// Whether this request had its effect before. Its key with another body is another wish.
fn is_repeat(said: &Attendee, wish: &Wish) -> Result<bool, Problem> {
    match said.body_of(wish.operation_id) {
        Some(body) if body == wish.fingerprint => Ok(true),
        Some(_) => Err(Problem::new(Code::IdempotencyKeyReused)),
        None => Ok(false),
    }
}

/// Gives the seat back where the event takes it, which the box office alone decides. The order as it is then.
async fn given_back(
    app: &App,
    caller: &Caller,
    mut order: Order,
    wish: &Wish,
) -> Result<Order, Problem> {
    let started = Instant::now();
    loop {
        let command = Command::ReleaseTicket(ReleaseTicket {
            command_id: wish.operation_id,
            event_id: order.event_id,
            order_id: order.id,
            ticket_id: wish.ticket_id,
            user_id: caller.user_id,
            row: OrderRow::from(order.clone()),
            fingerprint: wish.fingerprint,
            not_after: BoxOffice::not_after(),
        });
        match app.box_office.submit(&command).await {
            // The event keeps its seats.
            Ok(Answer::Nothing) => return Ok(order),
            Ok(_) => return dead(app, order.id, wish.ticket_id).await,
            // A row that was read before it showed what the books know.
            Err(SubmitError::Refused(Refusal::SeeRow)) if started.elapsed() < ROW_PATIENCE => {
                tokio::time::sleep(ROW_LOOK).await;
                order = find(app, order.id).await?;
            }
            Err(SubmitError::Refused(Refusal::AlreadyRefunded)) => {
                return Err(Problem::new(Code::Revoked));
            }
            Err(error) => return Err(refusals::problem(error)),
        }
    }
}

/// The order when its row shows that the ticket was given back: of a repeat it may be some moments behind.
async fn dead(app: &App, order_id: Uuid, ticket_id: Uuid) -> Result<Order, Problem> {
    let is_dead = |order: &Order| {
        order.status != Status::Paid || ticket_of(order, ticket_id).is_ok_and(|it| it.released)
    };
    let order = row_once(app, order_id, is_dead).await?;
    is_dead(&order).then_some(order).ok_or_else(changing)
}

async fn shown(app: &App, order: &Order, id: Uuid) -> Result<axum::Json<TicketOut>, Problem> {
    let beside = Beside::of(app, std::slice::from_ref(order)).await?;
    let ticket = ticket_of(order, id)?;
    Ok(axum::Json(ticket_out(
        order,
        ticket,
        &beside,
        &app.ticket_signer,
    )))
}
