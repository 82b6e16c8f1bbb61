//! Records on `checkout.guests`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::record;

/// The newest state of a guest: a buyer who has no account and was put on the list by the organizer. A tombstone erases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestSnapshot {
    /// The key; the buyer of the order.
    pub guest_id: Uuid,
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// The order that the ticket is in.
    pub order_id: Uuid,
    /// Grows with every change.
    pub version: i64,
    /// As the organizer wrote it.
    pub name: String,
    /// Where mail goes.
    pub email: String,
    /// E.164, where one is known.
    pub phone: Option<String>,
    /// BCP 47 language of mails: the organizer's.
    pub locale: String,
}

record!(
    GuestSnapshot,
    "checkout.guests",
    "ticketing.checkout.GuestSnapshot",
    "../../checkout.guests/GuestSnapshot.avsc"
);
