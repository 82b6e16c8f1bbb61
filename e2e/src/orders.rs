//! Orders and their payment. Each call carries a fresh `Idempotency-Key`, as our own clients do; a test that is about
//! the key sets its own on top.

use platform::ids::new_id;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{Api, Call};
use crate::users::User;

/// The simulated provider takes it.
pub const CARD_PAID: &str = "4242424242424242";
/// The simulated provider declines it.
pub const CARD_DECLINED: &str = "4000000000000002";
/// The simulated provider charges it and does not answer in time.
pub const CARD_TIMES_OUT: &str = "4000000000000119";

/// What `POST /v1/orders` takes: lines of ticket type and quantity.
pub fn order_body(event: Uuid, lines: &[(Uuid, u32)]) -> Value {
    let lines: Vec<Value> = lines
        .iter()
        .map(|(ticket_type, quantity)| json!({"ticket_type_id": ticket_type, "quantity": quantity}))
        .collect();
    json!({"event_id": event, "lines": lines})
}

/// An order of `buyer`.
pub fn place(api: &Api, buyer: &User, event: Uuid, lines: &[(Uuid, u32)]) -> Call {
    api.post("/v1/orders")
        .by(buyer)
        .idempotency_key(&new_id().to_string())
        .json(&order_body(event, lines))
}

/// A payment of an order of `buyer`.
pub fn pay(api: &Api, buyer: &User, order: Uuid, card: &str) -> Call {
    api.post(format!("/v1/orders/{order}/payment"))
        .by(buyer)
        .idempotency_key(&new_id().to_string())
        .json(&json!({"method": {"type": "simulated", "card": card}}))
}
