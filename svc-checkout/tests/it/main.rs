//! svc-checkout on the real stack. `make test` starts it.

mod attendance;
mod attendee;
mod attendee_rows;
mod audit;
mod cancelled_events;
mod commands;
mod endings;
mod expiry;
mod guest_sweep;
mod guests;
mod new_events;
mod of_user;
mod orders;
mod payments;
mod releases;
mod sold_out;
mod store;
mod transactions;
mod vouchers;

use e2e::{PublishedEvent, Role, Stack, TicketType, User};

/// An event on sale and somebody who wants to go.
struct Scene {
    stack: Stack,
    event: PublishedEvent,
    organizer: User,
    buyer: User,
}

impl Scene {
    async fn with(ticket_types: &[TicketType]) -> anyhow::Result<Self> {
        let stack = Stack::from_env();
        let organizer = stack.user(&[Role::Customer, Role::Organizer]).await?;
        let event = stack.published_event(&organizer, ticket_types).await?;
        let buyer = stack.customer().await?;
        Ok(Self {
            stack,
            event,
            organizer,
            buyer,
        })
    }
}
