//! A page of somebody's orders, whoever asks.

use platform::http::{Page, PageQuery, Problem};
use uuid::Uuid;

use super::cursor::position;
use super::refusals;
use super::shapes::{OrderOut, order_out};
use crate::app::App;

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
    let orders = app
        .orders
        .find_all(page.items.iter().map(|(_, id)| *id))
        .await
        .map_err(refusals::database)?;
    let events = app
        .events
        .of_tickets(&orders)
        .await
        .map_err(refusals::database)?;
    let items = orders
        .iter()
        .map(|order| order_out(order, &events, &app.ticket_signer))
        .collect();
    Ok(axum::Json(Page {
        items,
        next_cursor: page.next_cursor,
    }))
}
