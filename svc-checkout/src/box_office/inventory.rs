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
    engine: Mutex<Sender<Arc<Inventory>>>,
}

impl InventoryTable {
    /// `engine` hears of every newer inventory.
    pub fn new(engine: Sender<Arc<Inventory>>) -> Self {
        Self {
            events: Mutex::default(),
            caught_up: Arc::default(),
            engine: Mutex::new(engine),
        }
    }

    /// Takes an inventory, unless a newer one is known: the topic may be read again.
    pub fn put(&self, inventory: Inventory) {
        let inventory = Arc::new(inventory);
        let known = self.get(inventory.event_id);
        if known.is_some_and(|known| known.version >= inventory.version) {
            return;
        }
        // The engine first: whoever sees the event in the table may send a command at once.
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        // No engine any more: the process is stopping.
        let _ = engine.send(Arc::clone(&inventory));
        drop(engine);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
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
