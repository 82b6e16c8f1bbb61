//! The box office's account of one event's stock.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::money::{Currency, Money};
use uuid::Uuid;

use super::order::Line;

/// Whether an event sells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaleStatus {
    /// Not published yet.
    Draft,
    /// On sale within its windows.
    Published,
    /// Called off.
    Cancelled,
    /// Over.
    Archived,
}

/// Account of one ticket type: `quantity = held + sold + free`, always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketTypeBook {
    /// Ticket type.
    pub id: Uuid,
    /// general, vip, …
    pub kind: Arc<str>,
    /// Price for new holds; a hold keeps the price it was made with.
    pub price: Money,
    /// Seats for sale, capped; 0 for a type that is no longer in the inventory.
    pub quantity: i64,
    /// Held for unpaid orders.
    pub held: i64,
    /// Paid.
    pub sold: i64,
    /// Limit per buyer.
    pub max_per_buyer: Option<i64>,
    /// When the first limit came. Orders from then on are counted for their buyers, also while there is no limit: so
    /// that what comes back is counted off exactly when it was counted.
    pub counted_since: Option<Timestamp>,
    /// Start of the sale window.
    pub sale_starts_at: Option<Timestamp>,
    /// End of the sale window.
    pub sale_ends_at: Option<Timestamp>,
}

impl TicketTypeBook {
    /// Whether an order that was placed then is counted for its buyer.
    pub fn counts(&self, placed_at: Timestamp) -> bool {
        self.counted_since.is_some_and(|since| since <= placed_at)
    }

    /// For sale now. Below 0 only when the quantity was lowered under what is held and sold.
    pub fn free(&self) -> i64 {
        self.quantity - self.held - self.sold
    }

    /// Whether `now` lies in the sale window.
    pub fn on_sale(&self, now: Timestamp) -> bool {
        self.sale_starts_at.is_none_or(|start| start <= now)
            && self.sale_ends_at.is_none_or(|end| now < end)
    }
}

/// A quantity that the catalog wants to lower, granted before the catalog has written it down: more is not sold from then
/// on. The inventory of that version or a later one replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantityCap {
    /// The version of the event that the catalog wants to make.
    pub version: i64,
    /// Ticket type.
    pub ticket_type_id: Uuid,
    /// Seats for sale at most; 0 for a type that will be deleted.
    pub quantity: i64,
}

/// Account of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBook {
    /// Event.
    pub id: Uuid,
    /// Version of the inventory applied last.
    pub inventory_version: i64,
    /// Whether it sells.
    pub status: SaleStatus,
    /// Owner of the event.
    pub organizer_id: Uuid,
    /// Currency of all its prices.
    pub currency: Currency,
    /// Grows with every change of the stock.
    pub stock_version: i64,
    /// The last ticket number given.
    pub tickets_issued: i64,
    /// Every ticket type.
    pub ticket_types: Vec<TicketTypeBook>,
    /// When the first order was placed. `None`: none yet, or not known.
    pub first_order_at: Option<Timestamp>,
    /// Quantities that were granted to be lowered, and that no inventory has yet.
    pub caps: Vec<QuantityCap>,
    /// Whether who will not come gives the seat back.
    pub attendance_releases_seat: bool,
    /// Tickets that were given back and whose orders are still paid.
    pub released: i64,
}

/// What the catalog says may be sold, as one ticket type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketTypeOffer {
    /// Ticket type.
    pub id: Uuid,
    /// general, vip, …
    pub kind: Arc<str>,
    /// Price of one.
    pub price: Money,
    /// Seats for sale.
    pub quantity: i64,
    /// Limit per buyer.
    pub max_per_buyer: Option<i64>,
    /// Start of the sale window.
    pub sale_starts_at: Option<Timestamp>,
    /// End of the sale window.
    pub sale_ends_at: Option<Timestamp>,
}

/// What the catalog says may be sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// Event.
    pub event_id: Uuid,
    /// Version of the event.
    pub version: i64,
    /// Whether it sells.
    pub status: SaleStatus,
    /// Owner.
    pub organizer_id: Uuid,
    /// Currency of all prices.
    pub currency: Currency,
    /// Every ticket type.
    pub ticket_types: Vec<TicketTypeOffer>,
    /// Whether who will not come gives the seat back.
    pub attendance_releases_seat: bool,
}

impl EventBook {
    /// The book of an event that nothing was sold of.
    pub fn open(inventory: &Inventory, now: Timestamp) -> Self {
        let mut book = Self {
            id: inventory.event_id,
            inventory_version: inventory.version,
            status: inventory.status,
            organizer_id: inventory.organizer_id,
            currency: inventory.currency,
            stock_version: 0,
            tickets_issued: 0,
            ticket_types: Vec::new(),
            first_order_at: None,
            caps: Vec::new(),
            attendance_releases_seat: inventory.attendance_releases_seat,
            released: 0,
        };
        book.take_offers(inventory, now);
        book
    }

    /// Takes a newer inventory over; an older or equal one changes nothing.
    pub fn apply(&mut self, inventory: &Inventory, now: Timestamp) -> bool {
        if inventory.version <= self.inventory_version {
            return false;
        }
        self.inventory_version = inventory.version;
        self.status = inventory.status;
        self.organizer_id = inventory.organizer_id;
        self.currency = inventory.currency;
        self.attendance_releases_seat = inventory.attendance_releases_seat;
        self.caps.retain(|cap| cap.version > inventory.version);
        self.take_offers(inventory, now);
        true
    }

    /// Sells no more than `quantities` from now on, until the inventory of `version` or a later one comes.
    pub(super) fn cap(&mut self, version: i64, quantities: &[(Uuid, i64)]) {
        for &(ticket_type_id, quantity) in quantities {
            let same = self
                .caps
                .iter_mut()
                .find(|known| (known.version, known.ticket_type_id) == (version, ticket_type_id));
            match same {
                // Two changes want to become this version. Only one will, and nobody knows which.
                Some(known) => known.quantity = known.quantity.min(quantity),
                None => self.caps.push(QuantityCap {
                    version,
                    ticket_type_id,
                    quantity,
                }),
            }
        }
        self.keep_to_caps();
        self.stock_version += 1;
    }

    fn keep_to_caps(&mut self) {
        for book in &mut self.ticket_types {
            let caps = self.caps.iter().filter(|cap| cap.ticket_type_id == book.id);
            if let Some(least) = caps.map(|cap| cap.quantity).min() {
                book.quantity = book.quantity.min(least);
            }
        }
    }

    fn take_offers(&mut self, inventory: &Inventory, now: Timestamp) {
        let offered = |id| inventory.ticket_types.iter().any(|offer| offer.id == id);
        self.ticket_types
            .retain(|book| offered(book.id) || book.held > 0 || book.sold > 0);
        for book in &mut self.ticket_types {
            if !offered(book.id) {
                book.quantity = 0;
            }
        }
        for offer in &inventory.ticket_types {
            let (held, sold, counted_since) =
                self.ticket_type(offer.id).map_or((0, 0, None), |book| {
                    (book.held, book.sold, book.counted_since)
                });
            let updated = TicketTypeBook {
                id: offer.id,
                kind: Arc::clone(&offer.kind),
                price: offer.price,
                quantity: offer.quantity,
                held,
                sold,
                max_per_buyer: offer.max_per_buyer,
                counted_since: counted_since.or(offer.max_per_buyer.map(|_| now)),
                sale_starts_at: offer.sale_starts_at,
                sale_ends_at: offer.sale_ends_at,
            };
            match self
                .ticket_types
                .iter_mut()
                .find(|book| book.id == offer.id)
            {
                Some(book) => *book = updated,
                None => self.ticket_types.push(updated),
            }
        }
        self.keep_to_caps();
        self.stock_version += 1;
    }

    /// Whether it was called off: whoever holds tickets loses them, and money goes back.
    pub fn is_cancelled(&self) -> bool {
        self.status == SaleStatus::Cancelled
    }

    /// Whether it was called off and paid orders of it are left. Every order has tickets, so none is left exactly when
    /// none of its tickets is sold, and none that was given back is of an order that is still paid.
    pub fn owes_refunds(&self) -> bool {
        let sold = self.ticket_types.iter().any(|book| book.sold > 0);
        self.is_cancelled() && (sold || self.released > 0)
    }

    /// Whether who will not come gives the seat back now: of a cancelled event nobody could have it.
    pub fn takes_seats_back(&self) -> bool {
        self.attendance_releases_seat && !self.is_cancelled()
    }

    /// The account of one ticket type.
    pub fn ticket_type(&self, id: Uuid) -> Option<&TicketTypeBook> {
        self.ticket_types.iter().find(|book| book.id == id)
    }

    /// Whether every line is free now.
    pub fn has_free(&self, lines: &[Line]) -> bool {
        lines.iter().all(|line| {
            self.ticket_type(line.ticket_type_id)
                .is_some_and(|book| book.free() >= line.quantity)
        })
    }

    /// free → held.
    pub(super) fn hold(&mut self, lines: &[Line]) {
        self.move_stock(lines, |book, quantity| book.held += quantity);
    }

    /// held → free.
    pub(super) fn release(&mut self, lines: &[Line]) {
        self.move_stock(lines, |book, quantity| book.held -= quantity);
    }

    /// held → sold.
    pub(super) fn sell_held(&mut self, lines: &[Line]) {
        self.move_stock(lines, |book, quantity| {
            book.held -= quantity;
            book.sold += quantity;
        });
    }

    /// free → sold, for an order that was paid after its hold had ended.
    pub(super) fn sell_free(&mut self, lines: &[Line]) {
        self.move_stock(lines, |book, quantity| book.sold += quantity);
    }

    /// sold → free, for one ticket, whose order stays paid.
    pub(super) fn take_seat_back(&mut self, seat: &Line) {
        let seat = std::slice::from_ref(seat);
        self.move_stock(seat, |book, quantity| book.sold -= quantity);
        self.released += 1;
    }

    /// sold → free, for an order of which `released` tickets were given back before and these lines are left.
    pub(super) fn take_back(&mut self, lines: &[Line], released: usize) {
        self.move_stock(lines, |book, quantity| book.sold -= quantity);
        // An order has at most 2,000 tickets.
        self.released -= i64::try_from(released).unwrap_or_default();
    }

    fn move_stock(&mut self, lines: &[Line], change: impl Fn(&mut TicketTypeBook, i64)) {
        for line in lines {
            let id = line.ticket_type_id;
            if let Some(book) = self.ticket_types.iter_mut().find(|book| book.id == id) {
                change(book, line.quantity);
            }
        }
        self.stock_version += 1;
    }
}
