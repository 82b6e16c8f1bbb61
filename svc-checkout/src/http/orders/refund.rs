//! /v1/orders/{id}/refund

use axum::extract::State;
use platform::auth::{Caller, Role};
use platform::http::{Code, ETag, IdempotencyKey, NoBody, Path, Problem};
use tokio::time::Instant;
use uuid::Uuid;

use crate::app::App;
use crate::box_office::client::{BoxOffice, SubmitError};
use crate::domain::command::{Command, OrderRow, RefundOrder, Refusal};
use crate::domain::order::{Order, Status};
use crate::http::changes::{ROW_LOOK, ROW_PATIENCE, answer, command_id, row_once};
use crate::http::idempotency::fingerprint;
use crate::http::refusals;
use crate::http::shapes::OrderOut;

/// Take a paid order back
///
/// Its tickets are dead and their stock is free at once; the money goes back to the buyer as soon as the payment provider
/// takes the refund. For the event's organizer and for support.
#[utoipa::path(
    operation_id = "refund_order",
    post, path = "/v1/orders/{id}/refund", tag = "orders",
    params(
        ("id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this wish within its order")
    ),
    responses(
        (status = 200, body = OrderOut),
        (status = 403, description = "forbidden: the buyer asks the organizer or support"),
        (status = 404, description = "not-found: not there, or of another organizer's event"),
        (status = 409, description = "not-paid, already-refunded, request-in-progress"),
        (status = 422, description = "invalid: the call takes no body"),
        (status = 503, description = "overloaded, unavailable"),
    ),
    security(("bearer" = []))
)]
pub async fn refund(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    _: NoBody,
) -> Result<(ETag, axum::Json<OrderOut>), Problem> {
    let mut order = refundable_by(&app, &caller, id).await?;
    let command_id = command_id(id, &caller, "POST refund", key.as_ref());
    let started = Instant::now();
    loop {
        let command = Command::RefundOrder(RefundOrder {
            command_id,
            event_id: order.event_id,
            order_id: id,
            user_id: caller.user_id,
            row: OrderRow::from(order),
            fingerprint: fingerprint(key.as_ref(), &()),
            not_after: BoxOffice::not_after(),
        });
        match app.box_office.submit(&command).await {
            // A repeat may be decided, and answered, by another instance than wrote the row: that may be some moments behind.
            Ok(_) => {
                let order = row_once(&app, id, |order| order.status == Status::Refunded).await?;
                if order.status != Status::Refunded {
                    return Err(refusals::problem(SubmitError::TimedOut));
                }
                return answer(&app, &order).await;
            }
            // A row that was read before it showed what the books know.
            Err(SubmitError::Refused(Refusal::SeeRow)) if started.elapsed() < ROW_PATIENCE => {
                tokio::time::sleep(ROW_LOOK).await;
                order = find(&app, id).await?;
            }
            Err(error) => return Err(refusals::problem(error)),
        }
    }
}

async fn find(app: &App, id: Uuid) -> Result<Order, Problem> {
    let order = app.orders.find(id).await.map_err(refusals::database)?;
    order.ok_or_else(|| Problem::new(Code::NotFound))
}

/// The order, if the caller may take it back. The buyer may see it and is told whom to ask.
async fn refundable_by(app: &App, caller: &Caller, id: Uuid) -> Result<Order, Problem> {
    let order = find(app, id).await?;
    // Asked first: an event that is not there afterwards does not exist.
    let is_complete = app.inventory.is_complete();
    let inventory = app.inventory.get(order.event_id);
    let organizes = caller.has(Role::Organizer)
        && inventory
            .as_ref()
            .is_some_and(|event| event.organizer_id == caller.user_id);
    if organizes || caller.has(Role::Support) || caller.has(Role::Admin) {
        Ok(order)
    } else if order.user_id == caller.user_id {
        Err(Problem::new(Code::Forbidden).detail("ask the organizer of the event, or support"))
    } else if inventory.is_none() && !is_complete {
        Err(Problem::new(Code::Unavailable)
            .detail("the events are still being read; nothing has happened")
            .retry_after(1))
    } else {
        Err(Problem::new(Code::NotFound))
    }
}
