//! Records on `checkout.orders`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Micros, Money, record};

/// Tickets of one type in an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Type.
    pub ticket_type_id: Uuid,
    /// How many.
    pub quantity: i64,
    /// Price of one, fixed when the hold was made.
    pub unit_price: Money,
    /// quantity x unit price.
    pub line_total: Money,
}

/// The voucher of an order, as it was when the order was placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedVoucher {
    /// Its code, in upper case.
    pub code: String,
    /// Version of its terms.
    pub version: i64,
    /// How many orders could have it.
    pub max_uses: i64,
    /// What it took off the sum of the lines.
    pub discount: Money,
}

/// Why an order ended before its time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EndReason {
    /// A symbol newer than this reader.
    #[default]
    Unknown,
    /// Somebody asked for it: the buyer, or who takes paid orders back.
    Asked,
    /// Its event was cancelled.
    EventCancelled,
}

/// The buyer, or the end of the event, ended the hold; its stock is free again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCancelled {
    /// The key.
    pub order_id: Uuid,
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order; grows by one with every record.
    pub version: i64,
    /// What was held.
    pub lines: Vec<OrderLine>,
    /// What was to be paid.
    pub total: Money,
    /// When the order was placed.
    pub reserved_at: Micros,
    /// When the box office decided.
    pub cancelled_at: Micros,
    /// `None` without one.
    pub voucher: Option<UsedVoucher>,
    /// Number of the order, for people; `None` in records of before it was kept.
    pub number: Option<String>,
    /// Why; `None` in records of before it was kept.
    pub reason: Option<EndReason>,
    /// The payment that was captured while the event was cancelled and goes back; `None` where nothing was paid.
    pub payment_id: Option<Uuid>,
}

/// The hold ended unpaid and its stock is free again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderExpired {
    /// The key.
    pub order_id: Uuid,
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order; grows by one with every record.
    pub version: i64,
    /// What was held.
    pub lines: Vec<OrderLine>,
    /// What was to be paid.
    pub total: Money,
    /// When the order was placed.
    pub reserved_at: Micros,
    /// When the box office decided.
    pub expired_at: Micros,
    /// `None` without one.
    pub voucher: Option<UsedVoucher>,
}

/// A paid order was taken back: its tickets are dead and their stock is free again. The money follows with
/// PaymentRefundDue and PaymentRefunded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRefunded {
    /// The key.
    pub order_id: Uuid,
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order; grows by one with every record.
    pub version: i64,
    /// What was sold; the seats of tickets that were released before were free already.
    pub lines: Vec<OrderLine>,
    /// What was paid.
    pub total: Money,
    /// When the order was placed.
    pub reserved_at: Micros,
    /// The payment that paid it; null for an order that was free.
    pub payment_id: Option<Uuid>,
    /// When the box office decided.
    pub refunded_at: Micros,
    /// `None` without one.
    pub voucher: Option<UsedVoucher>,
    /// Number of the order, for people; `None` in records of before it was kept.
    pub number: Option<String>,
    /// Why; `None` in records of before it was kept.
    pub reason: Option<EndReason>,
}

/// One ticket of a paid order was given back by who will not come: it is dead and its seat is free again. The order stays
/// paid and no money moves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketReleased {
    /// The key.
    pub order_id: Uuid,
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order; grows by one with every record.
    pub version: i64,
    /// Which ticket of the order.
    pub ticket_id: Uuid,
    /// Its type: what is free again.
    pub ticket_type_id: Uuid,
    /// When the box office decided.
    pub released_at: Micros,
}

/// Tickets are held for a buyer until expires_at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReserved {
    /// The key.
    pub order_id: Uuid,
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order; grows by one with every record.
    pub version: i64,
    /// O- and 10 base32 characters, for people.
    pub number: String,
    /// What is held.
    pub lines: Vec<OrderLine>,
    /// What is to be paid.
    pub total: Money,
    /// End of the hold.
    pub expires_at: Micros,
    /// When the box office decided.
    pub reserved_at: Micros,
    /// SHA-256 of the body: a repeat of the key with another body is refused.
    #[serde(with = "apache_avro::serde::bytes")]
    pub fingerprint: Vec<u8>,
    /// `None` without one.
    pub voucher: Option<UsedVoucher>,
}

record!(
    OrderExpired,
    "checkout.orders",
    "ticketing.checkout.OrderExpired",
    "../../checkout.orders/OrderExpired.avsc"
);
record!(
    OrderReserved,
    "checkout.orders",
    "ticketing.checkout.OrderReserved",
    "../../checkout.orders/OrderReserved.avsc"
);
record!(
    OrderCancelled,
    "checkout.orders",
    "ticketing.checkout.OrderCancelled",
    "../../checkout.orders/OrderCancelled.avsc"
);
record!(
    OrderRefunded,
    "checkout.orders",
    "ticketing.checkout.OrderRefunded",
    "../../checkout.orders/OrderRefunded.avsc"
);
record!(
    TicketReleased,
    "checkout.orders",
    "ticketing.checkout.TicketReleased",
    "../../checkout.orders/TicketReleased.avsc"
);
