//! catalog.inventory as a table in memory. Every instance has all of it: a partition that comes
//! finds its events here, and the door knows an event before it sends a command.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::event_book::Inventory;

/// The newest inventory of every event.
pub struct InventoryTable {
    events: Mutex<HashMap<Uuid, Arc<Inventory>>>,
    caught_up: Arc<watch::Sender<bool>>,
    engine: Sender<Arc<Inventory>>,
}

impl InventoryTable {
    /// `engine` hears of every newer inventory.
    pub fn new(engine: Sender<Arc<Inventory>>) -> Self {
        Self {
            events: Mutex::default(),
            caught_up: Arc::default(),
            engine,
        }
    }

    /// Takes an inventory, unless a newer one is known: the topic may be read again.
    pub fn put(&self, inventory: Inventory) {
        let inventory = Arc::new(inventory);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let known = events.get(&inventory.event_id);
        if known.is_some_and(|known| known.version >= inventory.version) {
            return;
        }
        // Under one lock, in this order: an engine that is told passes over what is not its own, and finds it here when
        // the partition comes to it; and whoever sees the event here may send a command at once.
        // No engine any more: the process is stopping.
        let _ = self.engine.send(Arc::clone(&inventory));
        events.insert(inventory.event_id, inventory);
    }

    /// Where the reader says that it has read everything that there was at the start.
    pub fn caught_up(&self) -> &Arc<watch::Sender<bool>> {
        &self.caught_up
    }

    /// Whether it has. Before that an event that is not here may exist all the same.
    pub fn is_complete(&self) -> bool {
        *self.caught_up.borrow()
    }

    /// The newest inventory of an event.
    pub fn get(&self, event_id: Uuid) -> Option<Arc<Inventory>> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.get(&event_id).cloned()
    }

    /// Every event for which `wanted` is true.
    pub fn all(&self, wanted: impl Fn(Uuid) -> bool) -> Vec<Arc<Inventory>> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events
            .values()
            .filter(|inventory| wanted(inventory.event_id))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use platform::money::Currency;

    use super::*;
    use crate::domain::event_book::SaleStatus;

    #[test]
    fn whoever_is_told_of_an_inventory_finds_it_in_the_table() {
        const VERSIONS: i64 = 20_000;
        let (engine, told) = std::sync::mpsc::channel();
        let table = Arc::new(InventoryTable::new(engine));
        let writer = Arc::clone(&table);
        let writing = std::thread::spawn(move || {
            for version in 1..=VERSIONS {
                writer.put(Inventory {
                    event_id: Uuid::nil(),
                    version,
                    status: SaleStatus::Published,
                    organizer_id: Uuid::nil(),
                    currency: Currency::EUR,
                    ticket_types: Vec::new(),
                    attendance_releases_seat: false,
                });
            }
        });
        for expected in 1..=VERSIONS {
            let heard = told.recv().expect("one message each").version;
            assert_eq!(heard, expected);
            let found = table.all(|_| true);
            let found = found.first().map(|inventory| inventory.version);
            assert!(found >= Some(heard), "{found:?} in the table, {heard} told");
        }
        writing.join().expect("written");
    }
}
