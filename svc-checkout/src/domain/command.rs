//! What the box office can be asked, and how it answers.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::money::Money;
use uuid::Uuid;

use super::order::{Fingerprint, Line, Order, Status};
use super::voucher::{UsedVoucher, WantedVoucher};

/// Asks to hold tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceOrder {
    /// UUIDv5 of event, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Ticket types and how many of each; every type once.
    pub lines: Vec<(Uuid, i64)>,
    /// The voucher that the buyer names.
    pub voucher: Option<WantedVoucher>,
    /// For a guest of the organizer: it costs nothing, whatever the price and the sale window.
    pub complimentary: bool,
    /// Body of the request.
    pub fingerprint: Fingerprint,
    /// The client has gone after this time.
    pub not_after: Timestamp,
}

/// Asks to fix an order for a payment attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartPayment {
    /// UUIDv5 of order, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Body of the request.
    pub fingerprint: Fingerprint,
    /// The client has gone after this time.
    pub not_after: Timestamp,
}

/// Asks to end an unpaid order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelOrder {
    /// UUIDv5 of order, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Body of the request.
    pub fingerprint: Fingerprint,
    /// The client has gone after this time.
    pub not_after: Timestamp,
}

/// Asks to take a paid order back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundOrder {
    /// UUIDv5 of order, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// Who asks.
    pub user_id: Uuid,
    /// The order's row: a paid order has left the books.
    pub row: OrderRow,
    /// Body of the request.
    pub fingerprint: Fingerprint,
    /// The client has gone after this time.
    pub not_after: Timestamp,
}

/// Asks to give one ticket of a paid order back: who had it will not come. Without effect where the event keeps the seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseTicket {
    /// UUIDv5 of order, user, route and Idempotency-Key; random without a key.
    pub command_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// Its ticket.
    pub ticket_id: Uuid,
    /// Who asks.
    pub user_id: Uuid,
    /// The order's row: a paid order has left the books.
    pub row: OrderRow,
    /// Body of the request.
    pub fingerprint: Fingerprint,
    /// The client has gone after this time.
    pub not_after: Timestamp,
}

/// What the provider says of a charge; final there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentOutcome {
    /// The money was captured.
    Paid,
    /// It was not and will not be.
    Declined,
}

/// Tells what became of a charge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettlePayment {
    /// Whom to answer.
    pub command_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// Payment.
    pub payment_id: Uuid,
    /// What became of it.
    pub outcome: PaymentOutcome,
    /// What was charged.
    pub amount: Money,
    /// The order's row, for an order that has left the books.
    pub row: Option<OrderRow>,
}

/// An order as its row shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// Status in the row.
    pub status: Status,
    /// Version in the row.
    pub version: i64,
    /// Buyer.
    pub user_id: Uuid,
    /// Lines.
    pub lines: Vec<Line>,
    /// Total.
    pub total: Money,
    /// Voucher.
    pub voucher: Option<UsedVoucher>,
    /// When it was placed.
    pub reserved_at: Timestamp,
    /// The payment that paid it.
    pub payment_id: Option<Uuid>,
    /// When it changed last.
    pub updated_at: Timestamp,
}

impl From<Order> for OrderRow {
    fn from(order: Order) -> Self {
        Self {
            status: order.status,
            version: order.version,
            user_id: order.user_id,
            lines: order.lines,
            total: order.total,
            voucher: order.voucher,
            reserved_at: order.reserved_at,
            payment_id: order.payment_id,
            updated_at: order.updated_at,
        }
    }
}

/// Tells that the provider has paid money back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettleRefund {
    /// Whom to answer.
    pub command_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// The refunded payment.
    pub payment_id: Uuid,
}

/// Asks to sell no more than this: the catalog wants to lower quantities and may not go below what is held and sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowerQuantities {
    /// Whom to answer.
    pub command_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// The version of the event that will have these quantities.
    pub version: i64,
    /// Ticket types and how many of each may be sold; 0 for one that will be deleted.
    pub quantities: Vec<(Uuid, i64)>,
    /// The catalog has given up after this time.
    pub not_after: Timestamp,
}

/// Everything that the box office can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Hold tickets.
    PlaceOrder(PlaceOrder),
    /// Fix an order for a payment attempt.
    StartPayment(StartPayment),
    /// End an unpaid order.
    CancelOrder(CancelOrder),
    /// Take a paid order back.
    RefundOrder(RefundOrder),
    /// Give a ticket of a paid order back.
    ReleaseTicket(ReleaseTicket),
    /// A charge came to its end.
    SettlePayment(SettlePayment),
    /// A refund came to its end.
    SettleRefund(SettleRefund),
    /// Sell less.
    LowerQuantities(LowerQuantities),
}

impl Command {
    /// Whom to answer.
    pub fn id(&self) -> Uuid {
        match self {
            Command::PlaceOrder(command) => command.command_id,
            Command::StartPayment(command) => command.command_id,
            Command::CancelOrder(command) => command.command_id,
            Command::RefundOrder(command) => command.command_id,
            Command::ReleaseTicket(command) => command.command_id,
            Command::SettlePayment(command) => command.command_id,
            Command::SettleRefund(command) => command.command_id,
            Command::LowerQuantities(command) => command.command_id,
        }
    }

    /// The body of its request; all the same where nobody sent one.
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Command::PlaceOrder(command) => command.fingerprint,
            Command::StartPayment(command) => command.fingerprint,
            Command::CancelOrder(command) => command.fingerprint,
            Command::RefundOrder(command) => command.fingerprint,
            Command::ReleaseTicket(command) => command.fingerprint,
            Command::SettlePayment(_) | Command::SettleRefund(_) | Command::LowerQuantities(_) => {
                Fingerprint::default()
            }
        }
    }

    /// The event, which decides the partition.
    pub fn event_id(&self) -> Uuid {
        match self {
            Command::PlaceOrder(command) => command.event_id,
            Command::StartPayment(command) => command.event_id,
            Command::CancelOrder(command) => command.event_id,
            Command::RefundOrder(command) => command.event_id,
            Command::ReleaseTicket(command) => command.event_id,
            Command::SettlePayment(command) => command.event_id,
            Command::SettleRefund(command) => command.event_id,
            Command::LowerQuantities(command) => command.event_id,
        }
    }
}

/// The answer to a command that was not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The order's newest state.
    Order(Arc<Order>),
    /// A payment attempt is open under this id.
    PaymentStarted {
        /// The order.
        order: Arc<Order>,
        /// What to charge under.
        payment_id: Uuid,
    },
    /// The same request was declined before.
    PaymentDeclined {
        /// The declined payment.
        payment_id: Uuid,
    },
    /// The same request had its effect, and the order has left the books since: its row tells.
    SeeRow {
        /// The order.
        order_id: Uuid,
        /// The payment that the request had started, for a payment.
        payment_id: Option<Uuid>,
    },
    /// Nothing had to be done.
    Nothing,
}

/// Why a command had no effect. A refusal is not remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The command came out of a backlog after its client had gone.
    #[error("the client has gone")]
    TooLate,
    /// The event has no book here.
    #[error("the event is unknown")]
    UnknownEvent,
    /// The event has no such ticket type.
    #[error("ticket type {0} is unknown")]
    UnknownTicketType(Uuid),
    /// Not published, called off, or outside of the sale window.
    #[error("the sale is closed")]
    SaleClosed,
    /// Fewer tickets are free.
    #[error("only {free} tickets of type {ticket_type_id} are free")]
    SoldOut {
        /// Which type.
        ticket_type_id: Uuid,
        /// How many there are.
        free: i64,
    },
    /// The buyer would have more than allowed.
    #[error("a buyer may have {limit} tickets of type {ticket_type_id}")]
    LimitPerBuyer {
        /// Which type.
        ticket_type_id: Uuid,
        /// The limit.
        limit: i64,
    },
    /// The event has no such voucher, or no longer.
    #[error("the event has no such voucher")]
    VoucherInvalid,
    /// As many orders have it as can.
    #[error("the voucher is used up")]
    VoucherUsedUp,
    /// The sum does not fit into the minor units.
    #[error("the total is out of range")]
    TotalOutOfRange,
    /// The key was used with another body.
    #[error("the Idempotency-Key was used with another body")]
    KeyReused,
    /// A payment attempt is open.
    #[error("a payment is in progress")]
    PaymentInProgress,
    /// The order is paid.
    #[error("the order is paid")]
    AlreadyPaid,
    /// The hold has ended.
    #[error("the hold has ended")]
    HoldExpired,
    /// The order was cancelled.
    #[error("the order was cancelled")]
    OrderCancelled,
    /// A paid order is refunded, not cancelled.
    #[error("the order is paid: refund it")]
    UseRefund,
    /// Only a paid order is refunded.
    #[error("the order is not paid")]
    NotPaid,
    /// It was refunded before.
    #[error("the order was refunded")]
    AlreadyRefunded,
    /// More is held and sold than the catalog wants to leave.
    #[error("{taken} tickets of type {ticket_type_id} are held and sold")]
    BelowSold {
        /// Which type.
        ticket_type_id: Uuid,
        /// Held and sold.
        taken: i64,
    },
    /// The catalog has a newer version of the event than the one it asked for.
    #[error("the event has changed meanwhile")]
    InventoryIsNewer,
    /// No attempt is left.
    #[error(
        "the order had {} payment attempts",
        super::order::MAX_PAYMENT_ATTEMPTS
    )]
    TooManyAttempts,
    /// The order is not in the books: the sender reads its row, and sends it along where the
    /// command takes one.
    #[error("the order is not in the books")]
    SeeRow,
}
