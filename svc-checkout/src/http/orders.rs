//! /v1/orders

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use platform::auth::{Caller, Role};
use platform::clock::Timestamp;
use platform::http::{Code, ETag, IdempotencyKey, Json, Page, PageQuery, Path, Problem};
use platform::ids::{derived_id, new_id};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::changes::answer;
use super::idempotency::fingerprint;
use super::order_page::page_of;
use super::placing::submit;
use super::refusals;
use super::shapes::OrderOut;
use crate::app::App;
use crate::box_office::client::{BoxOffice, SubmitError};
use crate::domain::command::{Command, PlaceOrder};
use crate::domain::order::{MAX_LINES, MAX_QUANTITY_PER_LINE, Order};
use crate::domain::voucher::{VoucherCode, WantedVoucher};

pub mod cancel;
pub mod of_user;
pub mod refund;

/// A wish for tickets.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderIn)]
pub struct OrderIn {
    /// Event.
    pub event_id: Uuid,
    /// All lines are held, or none; each ticket type once.
    #[schema(min_items = 1, max_items = 20)]
    pub lines: Vec<LineIn>,
    /// Voucher code: letters count as capitals, white space around it does not count. One order, one voucher.
    #[schema(example = "EARLY-10")]
    #[serde(default)]
    pub voucher: Option<String>,
}

/// Tickets of one type.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderLineIn)]
pub struct LineIn {
    /// Ticket type.
    pub ticket_type_id: Uuid,
    /// How many.
    #[schema(minimum = 1, maximum = 100)]
    pub quantity: i64,
}

impl OrderIn {
    fn check(&self) -> Result<(), Problem> {
        let mut problem = Problem::new(Code::Invalid);
        if !(1..=MAX_LINES).contains(&self.lines.len()) {
            problem = problem.field("/lines", "length", format!("1 to {MAX_LINES} lines"));
        }
        let mut seen: HashMap<Uuid, usize> = HashMap::new();
        for (index, line) in self.lines.iter().enumerate() {
            if !(1..=MAX_QUANTITY_PER_LINE).contains(&line.quantity) {
                problem = problem.field(
                    format!("/lines/{index}/quantity"),
                    "range",
                    format!("1 to {MAX_QUANTITY_PER_LINE}"),
                );
            }
            match seen.entry(line.ticket_type_id) {
                Entry::Vacant(entry) => drop(entry.insert(index)),
                Entry::Occupied(first) => {
                    problem = problem.field(
                        format!("/lines/{index}/ticket_type_id"),
                        "duplicate",
                        format!("already in line {}: put them together", first.get()),
                    );
                }
            }
        }
        problem.or_ok()
    }

    /// What no voucher can be called is no voucher of the event either.
    fn voucher_code(&self) -> Result<Option<VoucherCode>, Problem> {
        let parse = |typed: &String| VoucherCode::parse(typed).ok_or_else(refusals::no_voucher);
        self.voucher.as_ref().map(parse).transpose()
    }
}

/// Hold tickets for ten minutes
///
/// All lines or none. With an `Idempotency-Key` a repeat has no second effect and gets the same
/// order.
#[utoipa::path(
    operation_id = "place_order",
    post, path = "/v1/orders", tag = "orders",
    params(("Idempotency-Key" = Option<String>, Header, description = "Names this wish within its event")),
    request_body = OrderIn,
    responses(
        (status = 201, body = OrderOut),
        (status = 404, description = "unknown-event, unknown-ticket-type"),
        (status = 409, description = "sold-out, limit-per-buyer, sale-closed, voucher-invalid, voucher-used-up, request-in-progress"),
        (status = 422, description = "invalid, idempotency-key-reused"),
        (status = 429, description = "too-many-requests: this user has named vouchers that are none, again and again"),
        (status = 503, description = "overloaded, unavailable"),
    ),
    security(("bearer" = []))
)]
pub async fn place(
    State(app): State<App>,
    caller: Caller,
    key: Option<IdempotencyKey>,
    Json(body): Json<OrderIn>,
) -> Result<(StatusCode, ETag, axum::Json<OrderOut>), Problem> {
    body.check()?;
    let code = body.voucher_code()?;
    let fingerprint = fingerprint(key.as_ref(), &body);
    let command_id = match &key {
        Some(key) => derived_id(
            body.event_id,
            &[&caller.user_id.to_string(), "POST /v1/orders", key.as_str()],
        ),
        None => new_id(),
    };
    let order_id = Order::id_of_command(body.event_id, command_id);
    // A repeat is recognized by its order for ever: by the box office, or where that may have forgotten it, here; and
    // before anything is refused, else the last seat's own order would refuse its repeat.
    let sold_out = app.sold_out.find(
        body.event_id,
        body.lines.iter().map(|line| line.ticket_type_id),
        std::time::Instant::now(),
    );
    let may_be_forgotten = || !app.memory.is_complete(body.event_id, Timestamp::now());
    let known = if key.is_some() && (sold_out.is_some() || may_be_forgotten()) {
        // What is turned away must cost nothing.
        if app.box_office.is_full() {
            return Err(refusals::problem(SubmitError::Overloaded));
        }
        let row = app.orders.find(order_id).await;
        row.map_err(refusals::database)?
    } else {
        None
    };
    let order = match known {
        Some(order) if order.fingerprint != fingerprint => {
            return Err(Problem::new(Code::IdempotencyKeyReused));
        }
        Some(order) => Arc::new(order),
        None => {
            if let Some(ticket_type_id) = sold_out {
                metrics::counter!("checkout_refused_at_the_door_total").increment(1);
                return Err(refusals::sold_out(ticket_type_id));
            }
            let voucher = match code {
                Some(code) => Some(wanted(&app, &caller, body.event_id, code).await?),
                None => None,
            };
            let command = Command::PlaceOrder(PlaceOrder {
                command_id,
                event_id: body.event_id,
                user_id: caller.user_id,
                lines: body
                    .lines
                    .iter()
                    .map(|line| (line.ticket_type_id, line.quantity))
                    .collect(),
                voucher,
                complimentary: false,
                fingerprint,
                not_after: BoxOffice::not_after(),
            });
            submit(&app, &command, order_id).await?
        }
    };
    let (etag, body) = answer(&app, &order).await?;
    Ok((StatusCode::CREATED, etag, body))
}

/// The voucher with what the catalog says of it. One that is not there is asked for all the same: it may have been deleted
/// since the order had it of which this is a repeat.
async fn wanted(
    app: &App,
    caller: &Caller,
    event_id: Uuid,
    code: VoucherCode,
) -> Result<WantedVoucher, Problem> {
    let key = (event_id, code);
    let complete = app.vouchers.complete().await;
    complete.map_err(Problem::unavailable)?;
    // Before anything else is waited for: a thousand guesses at once are counted before one of them is answered. Who has
    // guessed too often is refused what is right as well, else the answer would tell it; nobody else is kept from anything.
    let known = app.vouchers.get(&key);
    if known.is_some_and(|offer| offer.is_valid(Timestamp::now())) {
        app.voucher_guesses.look(caller.user_id)?;
    } else {
        app.voucher_guesses.take(caller.user_id)?;
    }
    let offer = app
        .vouchers
        .find(&key)
        .await
        .map_err(Problem::unavailable)?;
    let (_, code) = key;
    Ok(WantedVoucher { code, offer })
}

/// My orders, newest first
#[utoipa::path(
    operation_id = "list_orders",
    get, path = "/v1/orders", tag = "orders",
    params(("cursor" = Option<String>, Query), ("limit" = Option<u16>, Query, description = "1 to 200, 50 by default")),
    responses((status = 200, body = Page<OrderOut>)),
    security(("bearer" = []))
)]
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    page: PageQuery,
) -> Result<axum::Json<Page<OrderOut>>, Problem> {
    page_of(&app, caller.user_id, &page).await
}

/// One order
#[utoipa::path(
    operation_id = "find_order",
    get, path = "/v1/orders/{id}", tag = "orders",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = OrderOut), (status = 404, description = "not-found: not there, or not yours")),
    security(("bearer" = []))
)]
pub async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<(ETag, axum::Json<OrderOut>), Problem> {
    let order = visible(&app, &caller, id).await?;
    answer(&app, &order).await
}

/// The order, if the caller may see it; else it is not there.
async fn visible(app: &App, caller: &Caller, id: Uuid) -> Result<Order, Problem> {
    let order = app.orders.find(id).await.map_err(refusals::database)?;
    order
        .filter(|order| {
            order.user_id == caller.user_id || caller.has(Role::Support) || caller.has(Role::Admin)
        })
        .ok_or_else(|| Problem::new(Code::NotFound))
}
