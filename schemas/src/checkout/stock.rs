//! Records on `checkout.stock`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Micros, record};

/// Stock of one ticket type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketTypeStock {
    /// Type.
    pub ticket_type_id: Uuid,
    /// Seats for sale.
    pub quantity: i64,
    /// Held for unpaid orders.
    pub held: i64,
    /// Paid.
    pub sold: i64,
    /// For sale now; below 0 only after quantity was lowered under held + sold.
    pub free: i64,
}

/// Live stock of an event: quantity = held + sold + free, always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StockLevel {
    /// The key.
    pub event_id: Uuid,
    /// Grows with every change of the stock.
    pub version: i64,
    /// Every ticket type.
    pub ticket_types: Vec<TicketTypeStock>,
    /// When the box office decided.
    pub at: Micros,
}

/// How often a voucher is used. Key: <event_id>/voucher/<code>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoucherLevel {
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// In upper case.
    pub code: String,
    /// The version of the event's stock with which this count came.
    pub version: i64,
    /// Orders that were placed with it and neither expired nor were cancelled.
    pub uses: i64,
    /// When the box office decided.
    pub at: Micros,
}

record!(
    VoucherLevel,
    "checkout.stock",
    "ticketing.checkout.VoucherLevel",
    "../../checkout.stock/VoucherLevel.avsc"
);
record!(
    StockLevel,
    "checkout.stock",
    "ticketing.checkout.StockLevel",
    "../../checkout.stock/StockLevel.avsc"
);
