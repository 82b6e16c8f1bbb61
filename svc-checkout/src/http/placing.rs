//! What placing an order needs, whoever it is for: patience with an event that is new, and the order of a repeat.

use std::sync::Arc;
use std::time::Duration;

use platform::http::Problem;
use tokio::time::Instant;
use uuid::Uuid;

use super::refusals;
use crate::app::App;
use crate::box_office::client::SubmitError;
use crate::domain::command::{Answer, Command, Refusal};
use crate::domain::order::Order;

/// An event that was just published is waited for this long.
pub const UNKNOWN_EVENT_PATIENCE: Duration = Duration::from_secs(1);
/// And looked for this often.
pub const UNKNOWN_EVENT_LOOK: Duration = Duration::from_millis(20);

/// Sends the command until its event is known, and returns the order that it made or had made.
pub async fn submit(app: &App, command: &Command, order_id: Uuid) -> Result<Arc<Order>, Problem> {
    let started = Instant::now();
    loop {
        match app.box_office.submit(command).await {
            Ok(Answer::Order(order)) => return Ok(order),
            Err(SubmitError::Refused(Refusal::UnknownEvent))
                if started.elapsed() < UNKNOWN_EVENT_PATIENCE =>
            {
                // Published a moment ago: its inventory is on the way.
                tokio::time::sleep(UNKNOWN_EVENT_LOOK).await;
            }
            // The same command had its effect before, or may have had it: the row tells.
            Ok(_) => return row_or(app, order_id, SubmitError::TimedOut).await,
            Err(error @ (SubmitError::TimedOut | SubmitError::InProgress)) => {
                return row_or(app, order_id, error).await;
            }
            // This one came too late; the one before, of the same id, may have been in time.
            Err(error @ SubmitError::Refused(Refusal::TooLate)) => {
                return row_or(app, order_id, error).await;
            }
            Err(error) => return Err(refusals::problem(error)),
        }
    }
}

/// The order where its row is there, else what is known without it.
async fn row_or(app: &App, order_id: Uuid, error: SubmitError) -> Result<Arc<Order>, Problem> {
    let order = app.orders.find(order_id).await;
    let order = order.map_err(refusals::database)?;
    order.map(Arc::new).ok_or_else(|| refusals::problem(error))
}
