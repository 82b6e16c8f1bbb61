//! svc-catalog on a real stack. `make test` starts one and names it to the tests.

mod access;
mod availability;
mod bad_input;
mod cache;
mod changes;
mod coverage;
mod crashes;
mod failing_steps;
mod in_process;
mod life_cycle;
mod link;
mod list;
mod own_events;
mod records;
mod steps;
mod stream;
mod stream_at_load;
mod vouchers;

use e2e::events::concert;
use e2e::users::id_of;
use e2e::{Stack, TicketType, User};
use platform::ids::new_id;
use serde_json::Value;
use uuid::Uuid;

/// A name that no other event has.
fn fresh_name() -> String {
    format!("Catalog test {}", new_id().simple())
}

/// A concert that nobody else has made, not sent yet.
fn event_body() -> Value {
    concert(&fresh_name(), 30)
}

/// A fresh draft.
async fn draft(stack: &Stack, organizer: &User, body: &Value) -> anyhow::Result<Uuid> {
    let call = stack.catalog().post("/v1/events").by(organizer).json(body);
    id_of(&call.send().await?.expect(201)?)
}

/// A ticket type of an event.
async fn add_ticket_type(
    stack: &Stack,
    organizer: &User,
    event: Uuid,
    ticket_type: &TicketType,
) -> anyhow::Result<Value> {
    let path = format!("/v1/events/{event}/ticket-types");
    let call = stack
        .catalog()
        .post(path)
        .by(organizer)
        .json(&ticket_type.body());
    call.send().await?.expect(201)
}
