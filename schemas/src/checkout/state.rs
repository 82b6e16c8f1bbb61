//! Records on `checkout.state`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::catalog::EventStatus;
use crate::checkout::{OrderLine, UsedVoucher};
use crate::{Micros, Money, record};

/// Held and paid tickets of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeCount {
    /// Type.
    pub ticket_type_id: Uuid,
    /// Held + paid - refunded - released.
    pub count: i64,
}

/// Tickets of one buyer where a limit exists. Key: buyer/<event_id>/<user_id>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuyerCount {
    /// Event.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Per limited ticket type.
    pub counts: Vec<TypeCount>,
}

/// A ticket that was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedTicket {
    /// Ticket.
    pub ticket_id: Uuid,
    /// Its type.
    pub ticket_type_id: Uuid,
}

/// What must stay known of an order that ended, was paid with more than one payment, or has released tickets. Key: ended/<order_id>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedOrder {
    /// Order.
    pub order_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// The payment that paid it after its end.
    pub paid_by: Option<Uuid>,
    /// Version of the order.
    pub version: i64,
    /// What was held.
    pub lines: Vec<OrderLine>,
    /// Total.
    pub total: Money,
    /// When it was placed.
    pub reserved_at: Micros,
    /// Payments whose money is accounted for.
    pub settled: Vec<Uuid>,
    /// A payment whose end the provider has not told yet.
    pub open_payment: Option<Uuid>,
    /// Its tickets were taken back: never again.
    pub refunded: bool,
    /// `None` without one.
    pub voucher: Option<UsedVoucher>,
    /// Tickets that were given back while the order was paid: never again. `None`: none.
    pub released: Option<Vec<ReleasedTicket>>,
}

/// Account of one ticket type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketTypeBook {
    /// Type.
    pub ticket_type_id: Uuid,
    /// general, vip, ...
    pub kind: String,
    /// Price for new holds.
    pub price: Money,
    /// Seats for sale.
    pub quantity: i64,
    /// Held.
    pub held: i64,
    /// Sold.
    pub sold: i64,
    /// Limit per buyer.
    pub max_per_buyer: Option<i64>,
    /// When the first limit came: orders from then on are counted for their buyers.
    pub counted_since: Option<Micros>,
    /// Sale window.
    pub sale_starts_at: Option<Micros>,
    /// Sale window.
    pub sale_ends_at: Option<Micros>,
}

/// A quantity that was granted to be lowered before the catalog has written it down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuantityCap {
    /// The version of the event that will have it; the inventory of that version or a later one replaces the cap.
    pub version: i64,
    /// Type.
    pub ticket_type_id: Uuid,
    /// Seats for sale at most; 0 for a type that will be deleted.
    pub quantity: i64,
}

/// The box office's own account of an event. Key: event/<id>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventBook {
    /// Event.
    pub event_id: Uuid,
    /// Version of the inventory applied last.
    pub inventory_version: i64,
    /// Only PUBLISHED sells.
    pub status: EventStatus,
    /// Owner.
    pub organizer_id: Uuid,
    /// ISO 4217.
    pub currency: String,
    /// Version of the last StockLevel.
    pub stock_version: i64,
    /// The last ticket number given.
    pub tickets_issued: i64,
    /// Every ticket type, the ones no longer in the inventory with quantity 0.
    pub ticket_types: Vec<TicketTypeBook>,
    /// When the first order was placed; null: none yet, or before this was kept.
    pub first_order_at: Option<Micros>,
    /// Granted quantities that no inventory has yet; null: none.
    pub caps: Option<Vec<QuantityCap>>,
    /// Whether who will not come gives the seat back; `None`: no.
    pub attendance_releases_seat: Option<bool>,
    /// Tickets that were given back and whose orders are still paid; `None`: none.
    pub released: Option<i64>,
}

/// An unpaid order. Key: hold/<order_id>; a tombstone when it is paid or has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenHold {
    /// Order.
    pub order_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order.
    pub version: i64,
    /// What is held.
    pub lines: Vec<OrderLine>,
    /// What is to be paid.
    pub total: Money,
    /// When it was placed.
    pub reserved_at: Micros,
    /// End of the hold.
    pub expires_at: Micros,
    /// Time of the last decision.
    pub updated_at: Micros,
    /// Payment attempts so far.
    pub attempts: i64,
    /// A payment attempt is open.
    pub paying: bool,
    /// Hard end of paying, fixed at the first attempt.
    pub payment_deadline: Option<Micros>,
    /// SHA-256 of the body that placed it.
    #[serde(with = "apache_avro::serde::bytes")]
    pub fingerprint: Vec<u8>,
    /// `None` without one.
    pub voucher: Option<UsedVoucher>,
}

/// Where the box office of a partition stands. Key: position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionPosition {
    /// transactional.id of the owner, empty after a planned hand-over.
    pub owner: String,
    /// Next offset of checkout.commands to decide.
    pub next_offset: i64,
    /// Last recorded time of the partition; time never runs backwards.
    pub last_time: Micros,
}

/// What one command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandEffect {
    /// Command.
    pub command_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// Payment attempt, 0 for PlaceOrder.
    pub attempt: i64,
    /// SHA-256 of the body.
    #[serde(with = "apache_avro::serde::bytes")]
    pub fingerprint: Vec<u8>,
}

/// Commands that had an effect in one batch. Key: commands/<first offset>; tombstoned after 24 hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentCommands {
    /// When they were decided.
    pub at: Micros,
    /// Every effect.
    pub effects: Vec<CommandEffect>,
}

/// A refund that the provider still has to make. Key: refund/<payment_id>; a tombstone when it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefundOwed {
    /// Payment.
    pub payment_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// How much.
    pub amount: Money,
    /// Since when.
    pub due_at: Micros,
}

/// How many orders have a voucher. Key: voucher/<event_id>/<code>; a tombstone when none has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoucherUses {
    /// Event.
    pub event_id: Uuid,
    /// In upper case.
    pub code: String,
    /// Orders that were placed with it and neither expired nor were cancelled.
    pub uses: i64,
}

record!(
    VoucherUses,
    "checkout.state",
    "ticketing.checkout.VoucherUses",
    "../../checkout.state/VoucherUses.avsc"
);
record!(
    BuyerCount,
    "checkout.state",
    "ticketing.checkout.BuyerCount",
    "../../checkout.state/BuyerCount.avsc"
);
record!(
    EndedOrder,
    "checkout.state",
    "ticketing.checkout.EndedOrder",
    "../../checkout.state/EndedOrder.avsc"
);
record!(
    EventBook,
    "checkout.state",
    "ticketing.checkout.EventBook",
    "../../checkout.state/EventBook.avsc"
);
record!(
    OpenHold,
    "checkout.state",
    "ticketing.checkout.OpenHold",
    "../../checkout.state/OpenHold.avsc"
);
record!(
    PartitionPosition,
    "checkout.state",
    "ticketing.checkout.PartitionPosition",
    "../../checkout.state/PartitionPosition.avsc"
);
record!(
    RecentCommands,
    "checkout.state",
    "ticketing.checkout.RecentCommands",
    "../../checkout.state/RecentCommands.avsc"
);
record!(
    RefundOwed,
    "checkout.state",
    "ticketing.checkout.RefundOwed",
    "../../checkout.state/RefundOwed.avsc"
);
