//! What a mail says about an order that ended before its time.

use platform::money::Money;
use uuid::Uuid;

/// Why an order ended, when that was not its buyer's own doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Its event was cancelled.
    EventCancelled,
    /// The organizer or support took it back.
    Refunded,
}

/// An order that was cancelled or taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedOrder {
    /// Id.
    pub id: Uuid,
    /// The event.
    pub event_id: Uuid,
    /// The buyer.
    pub user_id: Uuid,
    /// Number for people: `O-` and ten characters.
    pub number: String,
    /// Why.
    pub reason: EndReason,
    /// What goes back to the buyer; `None` where nothing had been paid.
    pub money_back: Option<Money>,
}
