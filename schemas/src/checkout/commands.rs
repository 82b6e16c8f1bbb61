//! Records on `checkout.commands`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checkout::{OrderLine, UsedVoucher};
use crate::{Micros, Money, record};

/// Tickets that a buyer asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedLine {
    /// Type.
    pub ticket_type_id: Uuid,
    /// How many.
    pub quantity: i64,
}

/// What a voucher takes off: a percentage or an amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoucherOffer {
    /// Version of the terms.
    pub version: i64,
    /// 1 to 100.
    pub percent_off: Option<i64>,
    /// Taken off the sum of the lines.
    pub amount_off: Option<Money>,
    /// How many orders can have it.
    pub max_uses: i64,
    /// Orders from then on cannot have it; `None`: no end.
    pub valid_until: Option<Micros>,
}

/// A voucher that a buyer names, with what the catalog says of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedVoucher {
    /// In upper case.
    pub code: String,
    /// `None`: the event has no such voucher.
    pub offer: Option<VoucherOffer>,
}

/// Asks the box office to hold tickets for a buyer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceOrder {
    /// UUIDv5 of event, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// The key: decides the partition.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// All lines are held, or none.
    pub lines: Vec<WantedLine>,
    /// SHA-256 of the body: a repeat of the key with another body is refused.
    #[serde(with = "apache_avro::serde::bytes")]
    pub fingerprint: Vec<u8>,
    /// The client has gone after this time; the command is refused then.
    pub not_after: Micros,
    /// `None` without one.
    pub voucher: Option<WantedVoucher>,
    /// For a guest of the organizer: it costs nothing, whatever the price and the sale window. `None`: no.
    pub complimentary: Option<bool>,
}

/// What the provider says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PaymentOutcome {
    /// A symbol newer than this reader.
    #[default]
    Unknown,
    /// Paid.
    Paid,
    /// Declined.
    Declined,
}

/// Public status of an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OrderStatus {
    /// A symbol newer than this reader.
    #[default]
    Unknown,
    /// Reserved.
    Reserved,
    /// Paid.
    Paid,
    /// Expired.
    Expired,
    /// Cancelled.
    Cancelled,
    /// Refunded.
    Refunded,
}

/// The order as its row shows it, for an order that has left the state of the box office.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRow {
    /// Status in the row.
    pub status: OrderStatus,
    /// Version in the row.
    pub version: i64,
    /// Buyer.
    pub user_id: Uuid,
    /// Lines.
    pub lines: Vec<OrderLine>,
    /// Total.
    pub total: Money,
    /// When it was placed.
    pub created_at: Micros,
    /// The payment that paid it.
    pub payment_id: Option<Uuid>,
    /// When it changed last: the next change is later.
    pub updated_at: Micros,
    /// `None` without one.
    pub voucher: Option<UsedVoucher>,
}

/// Tells the box office what became of a charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettlePayment {
    /// UUIDv5 of event, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// The key: decides the partition.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// UUIDv5 of order and attempt.
    pub payment_id: Uuid,
    /// Final at the provider.
    pub outcome: PaymentOutcome,
    /// What was charged.
    pub amount: Money,
    /// The order's row.
    pub row: Option<OrderRow>,
}

/// Tells the box office that the provider has paid money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettleRefund {
    /// UUIDv5 of event, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// The key: decides the partition.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// The refunded payment.
    pub payment_id: Uuid,
}

/// Asks the box office to end an unpaid order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOrder {
    /// UUIDv5 of event, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// The key: decides the partition.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// SHA-256 of the body: a repeat of the key with another body is refused.
    #[serde(with = "apache_avro::serde::bytes")]
    pub fingerprint: Vec<u8>,
    /// The client has gone after this time; the command is refused then.
    pub not_after: Micros,
}

/// Asks the box office to take a paid order back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundOrder {
    /// UUIDv5 of event, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// The key: decides the partition.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// Who asks.
    pub user_id: Uuid,
    /// The order's row.
    pub row: OrderRow,
    /// SHA-256 of the body: a repeat of the key with another body is refused.
    #[serde(with = "apache_avro::serde::bytes")]
    pub fingerprint: Vec<u8>,
    /// The client has gone after this time; the command is refused then.
    pub not_after: Micros,
}

/// Asks the box office to give one ticket of a paid order back: who had it will not come. Without effect where the event
/// keeps the seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseTicket {
    /// UUIDv5 of event, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// The key: decides the partition.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// Its ticket.
    pub ticket_id: Uuid,
    /// Who asks.
    pub user_id: Uuid,
    /// The order's row.
    pub row: OrderRow,
    /// SHA-256 of the body: a repeat of the key with another body is refused.
    #[serde(with = "apache_avro::serde::bytes")]
    pub fingerprint: Vec<u8>,
    /// The client has gone after this time; the command is refused then.
    pub not_after: Micros,
}

/// Asks the box office to fix an order for a payment attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartPayment {
    /// UUIDv5 of event, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// The key: decides the partition.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// SHA-256 of the body: a repeat of the key with another body is refused.
    #[serde(with = "apache_avro::serde::bytes")]
    pub fingerprint: Vec<u8>,
    /// The client has gone after this time; the command is refused then.
    pub not_after: Micros,
}

/// What is left of a ticket type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedQuantity {
    /// Type.
    pub ticket_type_id: Uuid,
    /// Seats for sale; 0 for a type that will be deleted.
    pub quantity: i64,
}

/// Asks the box office to sell no more than this from now on: the catalog wants to lower quantities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LowerQuantities {
    /// Random.
    pub command_id: Uuid,
    /// The key: decides the partition.
    pub event_id: Uuid,
    /// The version of the event that will have these quantities.
    pub version: i64,
    /// All are granted, or none.
    pub quantities: Vec<WantedQuantity>,
    /// The catalog has given up after this time; the command is refused then.
    pub not_after: Micros,
}

record!(
    LowerQuantities,
    "checkout.commands",
    "ticketing.checkout.LowerQuantities",
    "../../checkout.commands/LowerQuantities.avsc"
);
record!(
    PlaceOrder,
    "checkout.commands",
    "ticketing.checkout.PlaceOrder",
    "../../checkout.commands/PlaceOrder.avsc"
);
record!(
    SettlePayment,
    "checkout.commands",
    "ticketing.checkout.SettlePayment",
    "../../checkout.commands/SettlePayment.avsc"
);
record!(
    SettleRefund,
    "checkout.commands",
    "ticketing.checkout.SettleRefund",
    "../../checkout.commands/SettleRefund.avsc"
);
record!(
    StartPayment,
    "checkout.commands",
    "ticketing.checkout.StartPayment",
    "../../checkout.commands/StartPayment.avsc"
);
record!(
    CancelOrder,
    "checkout.commands",
    "ticketing.checkout.CancelOrder",
    "../../checkout.commands/CancelOrder.avsc"
);
record!(
    RefundOrder,
    "checkout.commands",
    "ticketing.checkout.RefundOrder",
    "../../checkout.commands/RefundOrder.avsc"
);
record!(
    ReleaseTicket,
    "checkout.commands",
    "ticketing.checkout.ReleaseTicket",
    "../../checkout.commands/ReleaseTicket.avsc"
);
