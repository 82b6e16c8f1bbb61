//! What happened: the records of the ledger.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::money::Money;
use uuid::Uuid;

use super::order::{Line, Order, ReleasedTicket};
use super::voucher::UsedVoucher;

/// Something that happened: a record of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Tickets are held.
    Reserved(Arc<Order>),
    /// The hold ended unpaid.
    Expired(Arc<Order>),
    /// The hold was ended before its time.
    Cancelled {
        /// The order, at its end.
        order: Arc<Order>,
        /// Why; `None` when it is not recorded.
        reason: Option<EndReason>,
        /// A payment that was captured while the event was cancelled, and goes back.
        payment_id: Option<Uuid>,
    },
    /// Paid; tickets are issued.
    Confirmed(Arc<Order>),
    /// Paid, and taken back: the tickets are dead.
    Refunded(RefundedOrder),
    /// One ticket is dead and its seat is free; its order stays paid.
    Released(TicketReleased),
    /// The provider declined an attempt.
    PaymentFailed(PaymentFailed),
    /// Money was captured that buys nothing.
    RefundDue(RefundOwed),
    /// The provider paid it back.
    RefundMade {
        /// What was owed.
        owed: RefundOwed,
        /// When it was settled.
        at: Timestamp,
    },
}

/// The provider declined an attempt; the order is still reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentFailed {
    /// Order.
    pub order_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order.
    pub version: i64,
    /// The declined payment.
    pub payment_id: Uuid,
    /// Its number, from 1.
    pub attempt: u32,
    /// When it was decided.
    pub at: Timestamp,
}

/// A paid order that was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundedOrder {
    /// Order.
    pub order_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order.
    pub version: i64,
    /// What was sold.
    pub lines: Vec<Line>,
    /// What was paid.
    pub total: Money,
    /// Its voucher, whose use it keeps.
    pub voucher: Option<UsedVoucher>,
    /// The payment that paid it; `None` for a free order.
    pub payment_id: Option<Uuid>,
    /// When it was placed.
    pub reserved_at: Timestamp,
    /// Why; `None` when it is not recorded.
    pub reason: Option<EndReason>,
    /// When it was decided.
    pub at: Timestamp,
}

/// A ticket of a paid order that was given back. No money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketReleased {
    /// Order.
    pub order_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order.
    pub version: i64,
    /// Which ticket.
    pub ticket: ReleasedTicket,
    /// When it was decided.
    pub at: Timestamp,
}

/// A refund that the provider has to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundOwed {
    /// Payment.
    pub payment_id: Uuid,
    /// Order it was made for.
    pub order_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// How much.
    pub amount: Money,
    /// Since when.
    pub due_at: Timestamp,
}

/// Why an order ended before its time. Its buyer is told when it was not his own doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Somebody asked for it: the buyer, or who takes paid orders back.
    Asked,
    /// Its event was cancelled.
    EventCancelled,
}
