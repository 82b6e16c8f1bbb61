//! Records on `checkout.attendees`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Micros, record};

/// Whether somebody will come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Attendance {
    /// A symbol newer than this reader.
    #[default]
    Unknown,
    /// Nothing was said.
    Pending,
    /// Somebody will.
    Confirmed,
    /// Nobody will.
    Cancelled,
}

/// What the owner of a ticket said last of who will come with it. Whether the ticket is good, the records of its order
/// tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttendeeSnapshot {
    /// The key.
    pub ticket_id: Uuid,
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// The order that the ticket is in.
    pub order_id: Uuid,
    /// Grows by one with every change.
    pub version: i64,
    /// Whether somebody will come.
    pub attendance: Attendance,
    /// When it was said.
    pub changed_at: Micros,
    /// Who comes, as the owner wrote it; `None` until somebody is named.
    pub name: Option<String>,
    /// E-mail address of who comes; `None` until somebody is named.
    pub email: Option<String>,
    /// Telephone number in E.164 of who comes; `None` where none is known.
    pub phone: Option<String>,
}

record!(
    AttendeeSnapshot,
    "checkout.attendees",
    "ticketing.checkout.AttendeeSnapshot",
    "../../checkout.attendees/AttendeeSnapshot.avsc"
);
