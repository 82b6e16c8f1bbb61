//! /v1/orders/{id}/cancel

use axum::extract::State;
use platform::auth::Caller;
use platform::http::{Code, ETag, IdempotencyKey, NoBody, Path, Problem};
use uuid::Uuid;

use crate::app::App;
use crate::box_office::client::{BoxOffice, SubmitError};
use crate::domain::command::{Answer, CancelOrder, Command, Refusal};
use crate::domain::order::Status;
use crate::http::changes::{answer, command_id, settled_row};
use crate::http::idempotency::fingerprint;
use crate::http::refusals;
use crate::http::shapes::OrderOut;

/// Cancel an unpaid order
///
/// Its tickets are free again at once. A paid order is refunded instead.
#[utoipa::path(
    operation_id = "cancel_order",
    post, path = "/v1/orders/{id}/cancel", tag = "orders",
    params(
        ("id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this wish within its order")
    ),
    responses(
        (status = 200, body = OrderOut),
        (status = 404, description = "not-found: not there, or not yours"),
        (status = 409, description = "payment-in-progress, use-refund, hold-expired, order-cancelled, already-refunded, request-in-progress"),
        (status = 422, description = "invalid: the call takes no body"),
        (status = 503, description = "overloaded, unavailable"),
    ),
    security(("bearer" = []))
)]
pub async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    _: NoBody,
) -> Result<(ETag, axum::Json<OrderOut>), Problem> {
    let purchase = app.orders.purchase(id).await;
    let purchase = purchase
        .map_err(refusals::database)?
        .filter(|purchase| purchase.user_id == caller.user_id)
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let command = Command::CancelOrder(CancelOrder {
        command_id: command_id(id, &caller, "POST cancel", key.as_ref()),
        event_id: purchase.event_id,
        order_id: id,
        user_id: caller.user_id,
        fingerprint: fingerprint(key.as_ref(), &()),
        not_after: BoxOffice::not_after(),
    });
    match app.box_office.submit(&command).await {
        Ok(Answer::Order(order)) => answer(&app, &order).await,
        // The same request had its effect before.
        Ok(_) => answer(&app, &settled_row(&app, id).await?).await,
        Err(SubmitError::Refused(Refusal::SeeRow)) => {
            let order = settled_row(&app, id).await?;
            Err(match order.status {
                Status::Reserved => refusals::problem(SubmitError::Refused(Refusal::SeeRow)),
                Status::Paid => Problem::new(Code::UseRefund),
                Status::Expired => Problem::new(Code::HoldExpired),
                Status::Cancelled => Problem::new(Code::OrderCancelled),
                Status::Refunded => Problem::new(Code::AlreadyRefunded),
            })
        }
        Err(error) => Err(refusals::problem(error)),
    }
}
