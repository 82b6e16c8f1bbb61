//! /internal/events/{id}/quantities: the catalog asks before it sells less.

use axum::extract::State;
use axum::http::StatusCode;
use platform::auth::{ServiceCaller, service_id};
use platform::http::{Code, Json, Path, Problem};
use platform::ids::new_id;
use serde::Deserialize;
use uuid::Uuid;

use super::refusals;
use crate::app::App;
use crate::box_office::client::BoxOffice;
use crate::domain::command::{Command, LowerQuantities};

/// Who alone may ask.
const CATALOG: &str = "svc-catalog";

/// Quantities that the event is going to have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantitiesIn {
    /// The version of the event that will have them: the current one plus one.
    version: i64,
    /// The ticket types that will have fewer; all are granted, or none.
    quantities: Vec<QuantityIn>,
}

/// What a ticket type will have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantityIn {
    ticket_type_id: Uuid,
    /// 0 for a type that will be deleted.
    quantity: i64,
}

/// `PUT /internal/events/{id}/quantities`: 204 when no more than this is sold from now on, 409 `below-sold` where more is
/// held and sold already, 412 `stale` when the event has that version by now, 404 for an event that was never on sale here.
pub async fn lower(
    State(app): State<App>,
    caller: ServiceCaller,
    Path(event_id): Path<Uuid>,
    Json(body): Json<QuantitiesIn>,
) -> Result<StatusCode, Problem> {
    if caller.service_id != service_id(CATALOG) {
        return Err(Problem::new(Code::Forbidden));
    }
    let mut quantities = Vec::with_capacity(body.quantities.len());
    for (index, wanted) in body.quantities.iter().enumerate() {
        if wanted.quantity < 0 {
            let pointer = format!("/quantities/{index}/quantity");
            return Err(Problem::invalid(pointer, "range", "0 or more"));
        }
        quantities.push((wanted.ticket_type_id, wanted.quantity));
    }
    let command = Command::LowerQuantities(LowerQuantities {
        command_id: new_id(),
        event_id,
        version: body.version,
        quantities,
        not_after: BoxOffice::not_after(),
    });
    let answer = app.box_office.submit(&command).await;
    answer.map_err(refusals::problem)?;
    Ok(StatusCode::NO_CONTENT)
}
