//! What tickets show that does not stand in their order's row.

use platform::http::Problem;

use super::refusals;
use crate::app::App;
use crate::domain::order::Order;
use crate::store::attendees::SaidOfTickets;
use crate::store::events::Events;

/// What tickets show that does not stand in their order's row.
#[derive(Default)]
pub struct Beside {
    /// What they are for.
    pub events: Events,
    /// Whether somebody comes with which, and who.
    pub said: SaidOfTickets,
}

impl Beside {
    /// Of the tickets of these orders.
    pub async fn of(app: &App, orders: &[Order]) -> Result<Self, Problem> {
        let read = futures::try_join!(
            app.events.of_tickets(orders),
            app.attendees.attendees.of_tickets(orders)
        );
        let (events, said) = read.map_err(refusals::database)?;
        Ok(Self { events, said })
    }

    /// Of tickets that were issued just now: nobody has said anything of them.
    pub async fn of_new(app: &App, order: &Order) -> Result<Self, Problem> {
        let events = app.events.of_tickets([order]).await;
        Ok(Self {
            events: events.map_err(refusals::database)?,
            ..Self::default()
        })
    }
}
