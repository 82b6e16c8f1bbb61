//! What an event sells.

use platform::clock::Timestamp;
use platform::money::Money;
use uuid::Uuid;

use super::event::Event;
use super::rule::Violations;

/// Longest name, in characters.
pub const MAX_NAME_CHARS: usize = 80;
/// Longest kind, in characters.
pub const MAX_KIND_CHARS: usize = 40;
/// Highest price of a ticket, in minor units: a million euros, a hundred million yen. All tickets of the largest event
/// at this price are 10¹⁴, so no sum of prices leaves an i64.
pub const MAX_PRICE_MINOR_UNITS: i64 = 100_000_000;
/// Most tickets of one type.
pub const MAX_QUANTITY: i64 = 1_000_000;
/// Highest limit per buyer that can be asked for.
pub const MAX_LIMIT_PER_BUYER: i64 = 10_000;
/// Most ticket types of an event. They lie in the event's partition and travel in one record.
pub const MAX_TICKET_TYPES: usize = 50;

/// What an organizer says about a ticket type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Name on the ticket.
    pub name: String,
    /// `general`, `vip`, …
    pub kind: String,
    /// Price of one ticket.
    pub price: Money,
    /// Tickets for sale.
    pub quantity: i64,
    /// Most that one buyer may have.
    pub max_per_buyer: Option<i64>,
    /// Start of the sale; none: from the publication on.
    pub sale_starts_at: Option<Timestamp>,
    /// End of the sale; none: as long as the event can be sold.
    pub sale_ends_at: Option<Timestamp>,
}

/// One ticket type of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketType {
    /// Id.
    pub id: Uuid,
    /// What the organizer said.
    pub terms: Terms,
    /// The version of the event at the last change of this type.
    pub version: i64,
}

impl Terms {
    /// The terms, if `event` can take them beside the ticket types that it has.
    pub(super) fn checked_for(mut self, event: &Event) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        violations.line("/name", MAX_NAME_CHARS, &mut self.name);
        violations.line("/kind", MAX_KIND_CHARS, &mut self.kind);
        self.check_price(event, &mut violations);
        self.check_quantity(event, &mut violations);
        self.check_sale(event, &mut violations);
        violations.or(self)
    }

    fn check_price(&self, event: &Event, violations: &mut Violations) {
        violations.require(
            (0..=MAX_PRICE_MINOR_UNITS).contains(&self.price.amount),
            "/price/amount",
            "range",
            format!("from 0 to {MAX_PRICE_MINOR_UNITS} minor units"),
        );
        if let Some(currency) = event.currency() {
            violations.require(
                self.price.currency == currency,
                "/price/currency",
                "currency",
                format!("{currency}, as the event's other ticket types: an event has one currency"),
            );
        }
    }

    fn check_quantity(&self, event: &Event, violations: &mut Violations) {
        if !(1..=MAX_QUANTITY).contains(&self.quantity) {
            violations.add("/quantity", "range", format!("from 1 to {MAX_QUANTITY}"));
        } else if self.quantity > event.unassigned_capacity() {
            violations.add(
                "/quantity",
                "capacity",
                format!(
                    "at most {}: the event has room for {}, the other ticket types take the rest",
                    event.unassigned_capacity(),
                    event.room()
                ),
            );
        }
        if let Some(limit) = self.max_per_buyer {
            violations.require(
                (1..=MAX_LIMIT_PER_BUYER).contains(&limit),
                "/max_per_buyer",
                "range",
                format!("from 1 to {MAX_LIMIT_PER_BUYER}"),
            );
        }
        violations.require(
            event.ticket_types.len() < MAX_TICKET_TYPES,
            "",
            "count",
            format!("an event has at most {MAX_TICKET_TYPES} ticket types"),
        );
    }

    fn check_sale(&mut self, event: &Event, violations: &mut Violations) {
        let ends = event.details.ends_at;
        for (field, at) in [
            ("/sale_starts_at", &mut self.sale_starts_at),
            ("/sale_ends_at", &mut self.sale_ends_at),
        ] {
            *at = at.map(|at| Timestamp::from_millis(at.as_millis()));
            violations.require(
                at.is_none_or(|at| at <= ends),
                field,
                "order",
                format!("not after the end of the event, {ends}"),
            );
        }
        if let (Some(from), Some(to)) = (self.sale_starts_at, self.sale_ends_at) {
            violations.require(from < to, "/sale_ends_at", "order", "after sale_starts_at");
        }
    }
}
