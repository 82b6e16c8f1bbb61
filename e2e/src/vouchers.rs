//! Vouchers and orders that have one.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{Api, Call};
use crate::orders::{order_body, place};
use crate::users::User;

/// Takes half of the price off, so often.
pub fn half(code: &str, max_uses: u32) -> Value {
    json!({"code": code, "percent_off": 50, "max_uses": max_uses})
}

/// A voucher that the organizer of an event makes.
pub fn make(catalog: &Api, organizer: &User, event: Uuid, voucher: &Value) -> Call {
    catalog
        .post(format!("/v1/events/{event}/vouchers"))
        .by(organizer)
        .json(voucher)
}

/// An order of `buyer` with the voucher.
pub fn place_with(api: &Api, buyer: &User, event: Uuid, lines: &[(Uuid, u32)], code: &str) -> Call {
    let mut body = order_body(event, lines);
    body["voucher"] = json!(code);
    place(api, buyer, event, lines).json(&body)
}
