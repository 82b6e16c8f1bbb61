//! What every change of an order by its id needs: a command id, the order as the answer, and patience with its row.

use std::time::Duration;

use platform::auth::Caller;
use platform::http::{Code, ETag, IdempotencyKey, Problem};
use platform::ids::{derived_id, new_id};
use tokio::time::Instant;
use uuid::Uuid;

use super::beside::Beside;
use super::refusals;
use super::shapes::{OrderOut, order_out};
use crate::app::App;
use crate::domain::order::{Order, Status};

/// A row that is behind the books is looked at this long.
pub const ROW_PATIENCE: Duration = Duration::from_secs(2);
/// And this often.
pub const ROW_LOOK: Duration = Duration::from_millis(100);

/// The id of a command about an order: a repeat of its key is the same command.
pub fn command_id(
    order_id: Uuid,
    caller: &Caller,
    route: &str,
    key: Option<&IdempotencyKey>,
) -> Uuid {
    let user_id = caller.user_id.to_string();
    key.map_or_else(new_id, |key| {
        derived_id(order_id, &[&user_id, route, key.as_str()])
    })
}

/// An order as the answer to a change of it.
pub async fn answer(app: &App, order: &Order) -> Result<(ETag, axum::Json<OrderOut>), Problem> {
    let beside = Beside::of(app, std::slice::from_ref(order)).await?;
    Ok(order_answer(app, order, &beside))
}

/// An order whose tickets were issued for this very request.
pub async fn answer_new(app: &App, order: &Order) -> Result<(ETag, axum::Json<OrderOut>), Problem> {
    let beside = Beside::of_new(app, order).await?;
    Ok(order_answer(app, order, &beside))
}

fn order_answer(app: &App, order: &Order, beside: &Beside) -> (ETag, axum::Json<OrderOut>) {
    let out = order_out(order, beside, &app.ticket_signer);
    (ETag(order.version), axum::Json(out))
}

/// The row of an order that has left the books.
pub async fn settled_row(app: &App, order_id: Uuid) -> Result<Order, Problem> {
    row_once(app, order_id, |order| order.status != Status::Reserved).await
}

/// The row of an order once it shows what the books know: it may be some moments behind. As it is when patience ends.
pub async fn row_once(
    app: &App,
    order_id: Uuid,
    shows: impl Fn(&Order) -> bool,
) -> Result<Order, Problem> {
    let started = Instant::now();
    loop {
        let order = app
            .orders
            .find(order_id)
            .await
            .map_err(refusals::database)?;
        match order {
            Some(order) if shows(&order) || started.elapsed() > ROW_PATIENCE => return Ok(order),
            None if started.elapsed() > ROW_PATIENCE => return Err(Problem::new(Code::NotFound)),
            _ => tokio::time::sleep(ROW_LOOK).await,
        }
    }
}
