//! The stock of every event, in memory, as the box office told it last.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;
use uuid::Uuid;

use crate::domain::stock::EventStock;

/// Filled by [`crate::consume::checkout_stock`], read by whoever wants to know what is left.
///
/// A row for each event that ever sold a ticket, about 100 bytes and 40 more for each ticket type.
#[derive(Default)]
pub struct LiveStock {
    events: RwLock<HashMap<Uuid, Arc<EventStock>>>,
    caught_up: watch::Sender<bool>,
}

/// Not all of the stock that was known at the start has been read.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the stock is still being read")]
pub struct Behind;

impl LiveStock {
    /// What the box office said last; `None` when it has never spoken of the event.
    pub fn get(&self, event_id: Uuid) -> Option<Arc<EventStock>> {
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        events.get(&event_id).cloned()
    }

    /// Takes newer stock over; older stock changes nothing.
    pub fn put(&self, event_id: Uuid, stock: EventStock) {
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        let known = events.get(&event_id);
        if known.is_none_or(|known| known.version < stock.version) {
            let was = known.map_or(0, |known| known.missing_seats);
            // An independent witness: the box office never says anything but 0.
            let missing = metrics::gauge!("catalog_stock_missing_seats");
            missing.increment(stock.missing_seats as f64 - was as f64);
            events.insert(event_id, Arc::new(stock));
        }
    }

    /// Forgets an event.
    pub fn remove(&self, event_id: Uuid) {
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        events.remove(&event_id);
    }

    /// Where the reader says that it has read everything that there was.
    pub fn caught_up(&self) -> &watch::Sender<bool> {
        &self.caught_up
    }

    /// Whether everything has been read that was there at the start: before that, sold tickets look available.
    pub fn check(&self) -> Result<(), Behind> {
        if *self.caught_up.borrow() {
            Ok(())
        } else {
            Err(Behind)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(version: i64) -> EventStock {
        EventStock {
            version,
            missing_seats: 0,
            ticket_types: Vec::new(),
        }
    }

    #[test]
    fn only_newer_stock_counts() {
        let (live, event) = (LiveStock::default(), Uuid::from_u128(1));
        assert!(live.get(event).is_none());
        for (put, kept) in [(2, 2), (1, 2), (2, 2), (3, 3)] {
            live.put(event, stock(put));
            assert_eq!(live.get(event).map(|stock| stock.version), Some(kept));
        }
        live.remove(event);
        assert!(live.get(event).is_none());
    }

    #[test]
    fn it_is_ready_once_everything_is_read() {
        let live = LiveStock::default();
        assert!(live.check().is_err());
        live.caught_up().send_replace(true);
        assert!(live.check().is_ok());
    }
}
