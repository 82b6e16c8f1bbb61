//! Which events' commands the box office remembers without a gap.
//!
//! It forgets a command a day after it was decided; the row of its order is there for ever. So the door looks for that
//! row before it sends a command, or a late repeat would be a second order. But an event whose first order is younger
//! than the oldest thing remembered has no forgotten commands: on the night of its on-sale the door need not look.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use platform::clock::Timestamp;
use uuid::Uuid;

use crate::domain::event_book::EventBook;

/// The clocks of two instances, of which one decides after the other, differ by less.
const CLOCKS_DIFFER_BY: Duration = Duration::from_secs(3600);

/// The first orders of the events whose partitions are here; fed by the engine, asked by the door.
pub struct Memory {
    remember_for: Duration,
    /// By event; with the partition, to forget what goes to another owner.
    first_orders: RwLock<HashMap<Uuid, (i32, Timestamp)>>,
}

impl Memory {
    /// Of a box office that remembers commands for this long.
    pub fn new(remember_for: Duration) -> Self {
        Self {
            remember_for,
            first_orders: RwLock::default(),
        }
    }

    /// Takes committed books over.
    pub fn update<'a>(&self, partition: i32, books: impl Iterator<Item = &'a EventBook>) {
        let first_orders =
            books.filter_map(|book| Some((book.id, (partition, book.first_order_at?))));
        self.first_orders
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(first_orders);
    }

    /// Another engine decides in this partition now.
    pub fn drop_partition(&self, partition: i32) {
        self.first_orders
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, (of, _)| *of != partition);
    }

    /// Whether every command of the event that ever had an effect is remembered still. `false` where that is not known.
    pub fn is_complete(&self, event_id: Uuid, now: Timestamp) -> bool {
        let first_orders = self
            .first_orders
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        first_orders
            .get(&event_id)
            .is_some_and(|(_, first)| now + CLOCKS_DIFFER_BY < *first + self.remember_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event_book::{Inventory, SaleStatus};
    use platform::ids::new_id;
    use platform::money::Currency;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn book(first_order_at: Option<Timestamp>) -> EventBook {
        let inventory = Inventory {
            event_id: new_id(),
            version: 1,
            status: SaleStatus::Published,
            organizer_id: new_id(),
            currency: Currency::EUR,
            ticket_types: Vec::new(),
            attendance_releases_seat: false,
        };
        let book = EventBook::open(&inventory, Timestamp::now());
        EventBook {
            first_order_at,
            ..book
        }
    }

    #[test]
    fn complete_until_a_first_command_may_be_forgotten() {
        let first = Timestamp::from_micros(1_000_000);
        let (sold, unsold) = (book(Some(first)), book(None));
        let memory = Memory::new(DAY);
        memory.update(3, [&sold, &unsold].into_iter());

        assert!(memory.is_complete(sold.id, first));
        assert!(memory.is_complete(sold.id, first + DAY / 2));
        // An hour before the end: the next owner's clock may be ahead.
        assert!(!memory.is_complete(sold.id, first + DAY - CLOCKS_DIFFER_BY));
        assert!(!memory.is_complete(sold.id, first + DAY * 2));
        assert!(!memory.is_complete(unsold.id, first));
        assert!(!memory.is_complete(new_id(), first));

        memory.drop_partition(2);
        assert!(memory.is_complete(sold.id, first));
        memory.drop_partition(3);
        assert!(!memory.is_complete(sold.id, first));
    }
}
