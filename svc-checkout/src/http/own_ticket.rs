//! What the owner of a ticket says of it: who that is, what was said, and how another word is written and published.

use platform::auth::Caller;
use platform::http::{Code, Problem};
use uuid::Uuid;

use super::refusals;
use crate::app::App;
use crate::domain::attendee::Attendee;
use crate::domain::order::{Order, Ticket};

/// Somebody else may say something of the same ticket in the same moment; so often in a row nobody does.
const MAX_TRIES: usize = 8;

/// The order of a ticket of the caller's: nobody else's tickets are there. A token outlives its user by some minutes.
pub async fn order_of(app: &App, caller: &Caller, ticket_id: Uuid) -> Result<Order, Problem> {
    let is_erased = app.attendees.erased_users.has(caller.user_id).await;
    if is_erased.map_err(refusals::database)? {
        return Err(Problem::new(Code::NotFound));
    }
    let order_id = app.orders.order_of_ticket(caller.user_id, ticket_id).await;
    match order_id.map_err(refusals::database)? {
        Some(order_id) => find(app, order_id).await,
        None => Err(Problem::new(Code::NotFound)),
    }
}

/// The order with this id.
pub async fn find(app: &App, order_id: Uuid) -> Result<Order, Problem> {
    let order = app.orders.find(order_id).await;
    let order = order.map_err(refusals::database)?;
    order.ok_or_else(|| Problem::new(Code::NotFound))
}

/// A ticket of the order.
pub fn ticket_of(order: &Order, id: Uuid) -> Result<&Ticket, Problem> {
    let mut tickets = order.tickets.iter();
    let ticket = tickets.find(|ticket| ticket.id == id);
    ticket.ok_or_else(|| Problem::new(Code::NotFound))
}

/// What was said of it; 404 once its owner was erased.
pub async fn said_of(app: &App, order: &Order, ticket_id: Uuid) -> Result<Attendee, Problem> {
    let said = app.attendees.attendees.find(order.id, ticket_id).await;
    match said.map_err(refusals::database)? {
        Some(said) if said.is_erased => Err(Problem::new(Code::NotFound)),
        Some(said) => Ok(said),
        None => Ok(Attendee::unknown(order, ticket_id)),
    }
}

/// Writes down and publishes what `next` makes of what was said so far: `None` where there is nothing to add.
pub async fn change(
    app: &App,
    order: &Order,
    ticket_id: Uuid,
    next: impl Fn(&Attendee) -> Result<Option<Attendee>, Problem>,
) -> Result<Attendee, Problem> {
    let list = &app.attendees;
    let intent = list.intents.begin(order.id).await;
    let intent = intent.map_err(refusals::database)?;
    for _ in 0..MAX_TRIES {
        let said = said_of(app, order, ticket_id).await?;
        let said = match next(&said) {
            Ok(None) => said,
            Ok(Some(next)) => {
                let put = list.attendees.put(&next).await;
                if !put.map_err(refusals::database)? {
                    continue;
                }
                next
            }
            Err(refusal) => {
                let done = list.intents.done(intent).await;
                done.map_err(refusals::database)?;
                return Err(refusal);
            }
        };
        let settled = list.intents.settle(&**list, intent).await;
        settled.map_err(Problem::unavailable)?;
        return Ok(said);
    }
    // The intent stays: what the others have said is published again, which changes nothing.
    Err(changing())
}

/// Others say something of the ticket.
pub fn changing() -> Problem {
    Problem::new(Code::Unavailable)
        .detail("the ticket is changing")
        .retry_after(1)
}
