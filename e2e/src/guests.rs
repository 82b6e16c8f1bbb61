//! Guests of an organizer.

use platform::ids::new_id;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{Api, Call};
use crate::users::User;

/// What `POST /v1/events/{id}/attendees` takes.
pub fn body(email: &str, ticket_type: Uuid) -> Value {
    json!({
        "name": "Ada Lovelace", "email": email, "phone": "+33 6 12 34 56 78",
        "ticket_type_id": ticket_type,
    })
}

/// Puts a guest on the list of an event.
pub fn list(api: &Api, organizer: &User, event: Uuid, body: &Value) -> Call {
    api.post(format!("/v1/events/{event}/attendees"))
        .by(organizer)
        .idempotency_key(&new_id().to_string())
        .json(body)
}
