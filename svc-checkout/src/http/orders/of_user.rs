//! /internal/users/{id}/orders: the identity service asks for support, and for who wants to know what is held about him.

use axum::extract::State;
use platform::auth::{ServiceCaller, service_id};
use platform::http::{Code, ETag, Page, PageQuery, Path, Problem};
use uuid::Uuid;

use crate::app::App;
use crate::http::changes::answer;
use crate::http::order_page::page_of;
use crate::http::refusals;
use crate::http::shapes::OrderOut;

/// Who alone may ask.
const IDENTITY: &str = "svc-identity";

/// `GET /internal/users/{id}/orders`: what `GET /v1/orders` answers to the user.
pub async fn list(
    State(app): State<App>,
    caller: ServiceCaller,
    Path(user_id): Path<Uuid>,
    page: PageQuery,
) -> Result<axum::Json<Page<OrderOut>>, Problem> {
    only_identity(&caller)?;
    page_of(&app, user_id, &page).await
}

/// `GET /internal/users/{id}/orders/{order_id}`: 404 `not-found` for an order that is not this user's.
pub async fn get(
    State(app): State<App>,
    caller: ServiceCaller,
    Path((user_id, order_id)): Path<(Uuid, Uuid)>,
) -> Result<(ETag, axum::Json<OrderOut>), Problem> {
    only_identity(&caller)?;
    let order = app.orders.find(order_id).await;
    let order = order.map_err(refusals::database)?;
    let own = order.filter(|order| order.user_id == user_id);
    answer(&app, &own.ok_or(Code::NotFound)?).await
}

fn only_identity(caller: &ServiceCaller) -> Result<(), Problem> {
    if caller.service_id == service_id(IDENTITY) {
        Ok(())
    } else {
        Err(Problem::new(Code::Forbidden))
    }
}
