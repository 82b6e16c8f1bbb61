//! Orders that have left the books and must not be forgotten.

use platform::clock::Timestamp;
use platform::money::Money;
use uuid::Uuid;

use super::command::OrderRow;
use super::order::{Line, Order, ReleasedTicket};
use super::voucher::UsedVoucher;

/// What must stay known of an order that ended with a payment open, was paid after its end or more than once, was
/// refunded, or is paid and has released tickets. Else a second answer of the provider, or a second refund, would move
/// money twice, and a second release would give a seat back twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedOrder {
    /// Order.
    pub order_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Buyer.
    pub user_id: Uuid,
    /// Version of the order.
    pub version: i64,
    /// What was held.
    pub lines: Vec<Line>,
    /// Total.
    pub total: Money,
    /// Its voucher.
    pub voucher: Option<UsedVoucher>,
    /// When it was placed.
    pub reserved_at: Timestamp,
    /// The payment that paid it.
    pub paid_by: Option<Uuid>,
    /// Payments whose money is accounted for.
    pub settled: Vec<Uuid>,
    /// A payment whose end the provider has not told yet.
    pub open_payment: Option<Uuid>,
    /// Its tickets were taken back.
    pub refunded: bool,
    /// Tickets that were given back before, each once.
    pub released: Vec<ReleasedTicket>,
}

impl EndedOrder {
    /// Of an order as the books had it; nothing is paid or open.
    pub fn of(order: &Order) -> Self {
        Self::of_row(order.id, order.event_id, &OrderRow::from(order.clone()))
    }

    /// Of an order as its row shows it; nothing is paid or open.
    pub fn of_row(order_id: Uuid, event_id: Uuid, row: &OrderRow) -> Self {
        Self {
            order_id,
            event_id,
            user_id: row.user_id,
            version: row.version,
            lines: row.lines.clone(),
            total: row.total,
            voucher: row.voucher.clone(),
            reserved_at: row.reserved_at,
            paid_by: None,
            settled: Vec::new(),
            open_payment: None,
            refunded: false,
            released: Vec::new(),
        }
    }

    /// What it has besides the tickets that were given back.
    pub fn lines_left(&self) -> Vec<Line> {
        let left = self.lines.iter().map(|line| {
            let id = line.ticket_type_id;
            let released = self.released.iter().filter(|it| it.ticket_type_id == id);
            line.of(released.fold(line.quantity, |left, _| left - 1))
        });
        left.filter(|line| line.quantity > 0).collect()
    }
}
