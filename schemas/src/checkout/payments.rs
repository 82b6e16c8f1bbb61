//! Records on `checkout.payments`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::checkout::{OrderLine, UsedVoucher};
use crate::{Micros, Money, record};

/// One seat, sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedTicket {
    /// UUIDv5 of order and position.
    pub ticket_id: Uuid,
    /// From 1, gapless per event in the order of payment.
    pub number: i64,
    /// Type.
    pub ticket_type_id: Uuid,
    /// general, vip, ...
    pub kind: String,
    /// Price paid.
    pub price: Money,
}

/// The order is paid and its tickets are issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentConfirmed {
    /// The key.
    pub order_id: Uuid,
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order; grows by one with every record.
    pub version: i64,
    /// Number of the order, for people.
    pub number: String,
    /// The payment.
    pub payment_id: Uuid,
    /// What was bought.
    pub lines: Vec<OrderLine>,
    /// Every ticket.
    pub tickets: Vec<IssuedTicket>,
    /// What was paid.
    pub total: Money,
    /// When the order was placed.
    pub reserved_at: Micros,
    /// When the box office decided.
    pub confirmed_at: Micros,
    /// `None` without one.
    pub voucher: Option<UsedVoucher>,
}

/// The provider declined; the hold goes on until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentFailed {
    /// The key.
    pub order_id: Uuid,
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order; grows by one with every record.
    pub version: i64,
    /// The declined payment.
    pub payment_id: Uuid,
    /// From 1.
    pub attempt: i64,
    /// When the box office decided.
    pub failed_at: Micros,
}

/// Money was captured that buys nothing; it is owed back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefundDue {
    /// The key.
    pub order_id: Uuid,
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// The payment to refund.
    pub payment_id: Uuid,
    /// How much.
    pub amount: Money,
    /// When the box office decided.
    pub due_at: Micros,
}

/// The provider has paid the money back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRefunded {
    /// The key.
    pub order_id: Uuid,
    /// Event: decides the partition.
    pub event_id: Uuid,
    /// The refunded payment.
    pub payment_id: Uuid,
    /// How much.
    pub amount: Money,
    /// When the box office decided.
    pub refunded_at: Micros,
}

record!(
    PaymentConfirmed,
    "checkout.payments",
    "ticketing.checkout.PaymentConfirmed",
    "../../checkout.payments/PaymentConfirmed.avsc"
);
record!(
    PaymentFailed,
    "checkout.payments",
    "ticketing.checkout.PaymentFailed",
    "../../checkout.payments/PaymentFailed.avsc"
);
record!(
    PaymentRefundDue,
    "checkout.payments",
    "ticketing.checkout.PaymentRefundDue",
    "../../checkout.payments/PaymentRefundDue.avsc"
);
record!(
    PaymentRefunded,
    "checkout.payments",
    "ticketing.checkout.PaymentRefunded",
    "../../checkout.payments/PaymentRefunded.avsc"
);
