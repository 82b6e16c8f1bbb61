//! What a mail says about a paid order.

use platform::money::Money;
use uuid::Uuid;

/// An order whose payment was confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidOrder {
    /// Id.
    pub id: Uuid,
    /// The event.
    pub event_id: Uuid,
    /// The buyer.
    pub user_id: Uuid,
    /// Number for people: `O-` and ten characters.
    pub number: String,
    /// Every ticket, in the order of the record.
    pub tickets: Vec<Ticket>,
    /// Its voucher.
    pub voucher: Option<UsedVoucher>,
    /// What was paid: the prices less the voucher's discount.
    pub total: Money,
}

/// The voucher of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedVoucher {
    /// In upper case.
    pub code: String,
    /// What it took off the sum of the tickets.
    pub discount: Money,
}

/// One ticket of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// From 1, gapless per event.
    pub number: i64,
    /// general, vip, …
    pub kind: String,
    /// Price paid.
    pub price: Money,
}
