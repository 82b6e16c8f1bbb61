//! Records on `checkout.replies`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::record;

/// What was decided. Up to NOTHING it had an effect or needed none; the others are refusals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReplyOutcome {
    /// A symbol newer than this reader.
    #[default]
    Unknown,
    /// The order is placed or paid.
    Order,
    /// A payment attempt is open.
    PaymentStarted,
    /// The same request was declined before.
    PaymentDeclined,
    /// The same request had its effect before.
    SeeRow,
    /// Nothing had to be done.
    Nothing,
    /// The client had gone.
    TooLate,
    /// The event has no book.
    UnknownEvent,
    /// The event has no such ticket type.
    UnknownTicketType,
    /// The event does not sell.
    SaleClosed,
    /// Fewer tickets are free.
    SoldOut,
    /// The buyer would have too many.
    LimitPerBuyer,
    /// The sum is too large.
    TotalOutOfRange,
    /// The key was used with another body.
    KeyReused,
    /// A payment attempt is open already.
    PaymentInProgress,
    /// The order is paid.
    AlreadyPaid,
    /// The hold has ended.
    HoldExpired,
    /// The order was cancelled.
    OrderCancelled,
    /// A paid order is refunded, not cancelled.
    UseRefund,
    /// Only a paid order is refunded.
    NotPaid,
    /// It was refunded before.
    AlreadyRefunded,
    /// No attempt is left.
    TooManyAttempts,
    /// The order is not in the books: its row is needed, or a newer one.
    RowIsBehind,
    /// More is held and sold than the catalog wants to leave.
    BelowSold,
    /// The event has changed meanwhile.
    InventoryIsNewer,
    /// The event has no such voucher, or no longer.
    VoucherInvalid,
    /// As many orders have the voucher as can.
    VoucherUsedUp,
}

/// The answer to a command whose client waits at another instance than the one that decided it. Sent when the rows are
/// written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReply {
    /// The command.
    pub command_id: Uuid,
    /// SHA-256 of the body of its request: the same command with another body has another answer.
    #[serde(with = "apache_avro::serde::bytes")]
    pub fingerprint: Vec<u8>,
    /// What was decided.
    pub outcome: ReplyOutcome,
    /// The order; its row tells the rest.
    pub order_id: Option<Uuid>,
    /// The payment that was started or declined.
    pub payment_id: Option<Uuid>,
    /// The ticket type that the refusal is about.
    pub ticket_type_id: Option<Uuid>,
    /// `SoldOut`: how many are free. `LimitPerBuyer`: the limit. `BelowSold`: how many are held and sold.
    pub number: Option<i64>,
}

record!(
    CommandReply,
    "checkout.replies",
    "ticketing.checkout.CommandReply",
    "../../checkout.replies/CommandReply.avsc"
);
