//! A page of somebody's orders, whoever asks.

use platform::http::{Page, PageQuery, Problem};
use uuid::Uuid;

use super::beside::Beside;
use super::cursor::position;
use super::refusals;
use super::shapes::{OrderOut, order_out};
use crate::app::App;
use crate::domain::order::Order;

/// Orders of `user_id`, newest first.
pub async fn page_of(
    app: &App,
    user_id: Uuid,
    page: &PageQuery,
) -> Result<axum::Json<Page<OrderOut>>, Problem> {
    let after = position(page)?;
    let limit = page.limit();
    let positions = app
        .orders
        .list_by_user(user_id, after, limit + 1)
        .await
        .map_err(refusals::database)?;
    let page = Page::cut(positions, limit, |position| *position);
    let (orders, beside) = with_beside(app, page.items.iter().map(|(_, id)| *id)).await?;
    let items = orders
        .iter()
        .map(|order| order_out(order, &beside, &app.ticket_signer))
        .collect();
    Ok(axum::Json(Page {
        items,
        next_cursor: page.next_cursor,
    }))
}

/// Orders by id with what their tickets show; an order whose row is not there yet is left out.
pub async fn with_beside(
    app: &App,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<(Vec<Order>, Beside), Problem> {
    let orders = app.orders.find_all(ids).await;
    let orders = orders.map_err(refusals::database)?;
    let beside = Beside::of(app, &orders).await?;
    Ok((orders, beside))
}
