//! The catalog says what may be sold.

use platform::clock::Timestamp;

use crate::domain::books::Desk;
use crate::domain::event_book::{EventBook, Inventory};

/// Takes a newer inventory over. True when something changed.
pub fn apply_inventory(desk: &mut Desk<'_>, inventory: &Inventory, now: Timestamp) -> bool {
    let Some(known) = desk.event(inventory.event_id) else {
        desk.open_event(EventBook::open(inventory, now));
        return true;
    };
    if inventory.version <= known.inventory_version {
        return false;
    }
    desk.event_mut(inventory.event_id)
        .is_some_and(|book| book.apply(inventory, now))
}
