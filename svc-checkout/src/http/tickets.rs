//! /v1/tickets

use std::collections::HashMap;

use axum::extract::State;
use platform::auth::Caller;
use platform::http::{Page, PageQuery, Problem};
use uuid::Uuid;

use super::cursor::position;
use super::order_page::with_beside;
use super::refusals;
use super::shapes::{TicketOut, ticket_out};
use crate::app::App;
use crate::domain::order::Order;

/// My tickets, newest first
#[utoipa::path(
    operation_id = "list_tickets",
    get, path = "/v1/tickets", tag = "tickets",
    params(("cursor" = Option<String>, Query), ("limit" = Option<u16>, Query, description = "1 to 200, 50 by default")),
    responses((status = 200, body = Page<TicketOut>)),
    security(("bearer" = []))
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    page: PageQuery,
) -> Result<axum::Json<Page<TicketOut>>, Problem> {
    let after = position(&page)?;
    let limit = page.limit();
    let found = app
        .orders
        .list_tickets(caller.user_id, after, limit + 1)
        .await
        .map_err(refusals::database)?;
    let page = Page::cut(found, limit, |(at, id, _)| (*at, *id));
    let mut order_ids: Vec<Uuid> = page.items.iter().map(|(_, _, order)| *order).collect();
    order_ids.dedup();
    let (orders, beside) = with_beside(&app, order_ids).await?;
    let by_id: HashMap<Uuid, &Order> = orders.iter().map(|order| (order.id, order)).collect();
    let items = page
        .items
        .iter()
        .filter_map(|(_, ticket_id, order_id)| {
            let order = by_id.get(order_id)?;
            let ticket = order
                .tickets
                .iter()
                .find(|ticket| ticket.id == *ticket_id)?;
            Some(ticket_out(order, ticket, &beside, &app.ticket_signer))
        })
        .collect();
    Ok(axum::Json(Page {
        items,
        next_cursor: page.next_cursor,
    }))
}
