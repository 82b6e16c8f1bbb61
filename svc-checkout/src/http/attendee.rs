//! /v1/tickets/{id}/attendee

use axum::extract::State;
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::{Code, ETag, IfMatch, Json, Path, Problem};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::own_ticket::{change, order_of, said_of, ticket_of};
use super::persons::person;
use super::shapes::AttendeeOut;
use crate::app::App;
use crate::domain::attendee::Attendee;
use crate::domain::order::Status;

/// Who is going to come with a ticket.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AttendeeIn)]
pub struct AttendeeIn {
    /// Name.
    #[schema(min_length = 1, max_length = 200, example = "Ada Lovelace")]
    pub name: String,
    /// E-mail address.
    #[schema(max_length = 254, example = "ada@example.com")]
    pub email: String,
    /// With the country code.
    #[schema(example = "+33612345678")]
    #[serde(default)]
    pub phone: Option<String>,
}

/// Who is going to come with a ticket
///
/// `null` until somebody is named. The `ETag` is of all that its owner said of the ticket: the attendance changes it, too.
#[utoipa::path(
    operation_id = "find_attendee",
    get, path = "/v1/tickets/{id}/attendee", tag = "tickets",
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = Option<AttendeeOut>),
        (status = 404, description = "not-found: not there, or not yours; or you were erased"),
    ),
    security(("bearer" = []))
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<(ETag, axum::Json<Option<AttendeeOut>>), Problem> {
    let order = order_of(&app, &caller, id).await?;
    Ok(answer(&said_of(&app, &order, id).await?))
}

/// Name who is going to come with a ticket
///
/// Whoever was named before is forgotten.
#[utoipa::path(
    operation_id = "name_attendee",
    put, path = "/v1/tickets/{id}/attendee", tag = "tickets",
    params(
        ("id" = Uuid, Path),
        ("If-Match" = String, Header, description = "The `ETag` of the attendee as it was read")
    ),
    request_body = AttendeeIn,
    responses(
        (status = 200, body = Option<AttendeeOut>),
        (status = 404, description = "not-found: not there, or not yours; or you were erased"),
        (status = 409, description = "revoked: the ticket was given back, or its order was refunded"),
        (status = 412, description = "stale"),
        (status = 422, description = "invalid"),
        (status = 428, description = "if-match-required"),
    ),
    security(("bearer" = []))
)]
pub async fn put(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    if_match: IfMatch,
    Json(body): Json<AttendeeIn>,
) -> Result<(ETag, axum::Json<Option<AttendeeOut>>), Problem> {
    let person = person(&body.name, &body.email, body.phone.as_deref())?;
    let order = order_of(&app, &caller, id).await?;
    if order.status != Status::Paid || ticket_of(&order, id)?.released {
        return Err(Problem::new(Code::Revoked));
    }
    let said = change(&app, &order, id, |said| {
        if_match.check(said.version)?;
        Ok(Some(said.name(person.clone(), Timestamp::now())))
    });
    Ok(answer(&said.await?))
}

fn answer(said: &Attendee) -> (ETag, axum::Json<Option<AttendeeOut>>) {
    let person = said.person.as_ref().map(AttendeeOut::from);
    (ETag(said.version), axum::Json(person))
}
