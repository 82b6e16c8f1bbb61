//! The stock of every event, in memory, as the box office told it last.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Bytes;
use tokio::sync::{OnceCell, watch};
use uuid::Uuid;

use crate::domain::stock::EventStock;

/// What the box office said of an event, and how those who watch are told, from the first time on that one of them is.
#[derive(Debug)]
pub struct Heard {
    /// The stock.
    pub stock: EventStock,
    message: OnceCell<Message>,
}

/// What one who watches an event is told.
#[derive(Debug, Clone)]
pub struct Message {
    /// The version of the event whose ticket types are in it.
    pub event_version: i64,
    /// As it goes out.
    pub bytes: Bytes,
}

impl Heard {
    /// What nobody has been told yet.
    pub fn new(stock: EventStock) -> Self {
        Self {
            stock,
            message: OnceCell::new(),
        }
    }

    /// How all are told, if somebody was.
    pub fn told(&self) -> Option<&Message> {
        self.message.get()
    }

    /// How all are told, which `write` writes if nobody was yet: thousands are told the same.
    pub async fn tell(&self, write: impl Future<Output = Message>) -> Message {
        self.message.get_or_init(|| write).await.clone()
    }
}

/// Filled by [`crate::consume::checkout_stock`], read by whoever wants to know what is left.
///
/// A row for each event that ever sold a ticket or was watched, about 300 bytes and 40 more for each ticket type; of those that are watched
/// also a message of 100 bytes for each type.
#[derive(Default)]
pub struct LiveStock {
    /// `None`: watched, and the box office has never spoken of it.
    events: RwLock<HashMap<Uuid, watch::Sender<Option<Arc<Heard>>>>>,
    caught_up: watch::Sender<bool>,
}

/// Not all of the stock that was known at the start has been read.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the stock is still being read")]
pub struct Behind;

impl LiveStock {
    /// What the box office said last; `None` when it has never spoken of the event.
    pub fn get(&self, event_id: Uuid) -> Option<Arc<Heard>> {
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        events.get(&event_id)?.borrow().clone()
    }

    /// What the box office said last, and hears of everything that it says from now on; of several words in quick
    /// succession only the last one. Ends when the event is forgotten. For events that exist: each gets a row.
    pub fn watch(&self, event_id: Uuid) -> watch::Receiver<Option<Arc<Heard>>> {
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        events.entry(event_id).or_default().subscribe()
    }

    /// Takes newer stock over; older stock changes nothing.
    pub fn put(&self, event_id: Uuid, stock: EventStock) {
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        events
            .entry(event_id)
            .or_default()
            .send_if_modified(|known| {
                let was = known.as_ref().map(|was| &was.stock);
                let is_newer = was.is_none_or(|was| was.version < stock.version);
                if is_newer {
                    // An independent witness: the box office never says anything but 0.
                    let missing = metrics::gauge!("catalog_stock_missing_seats");
                    let was = was.map_or(0, |was| was.missing_seats);
                    missing.increment(stock.missing_seats as f64 - was as f64);
                    *known = Some(Arc::new(Heard::new(stock)));
                }
                is_newer
            });
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
            assert_eq!(live.get(event).map(|heard| heard.stock.version), Some(kept));
        }
        live.remove(event);
        assert!(live.get(event).is_none());
    }

    #[test]
    fn who_watches_hears_the_last_word() {
        let (live, event) = (LiveStock::default(), Uuid::from_u128(1));
        let mut watched = live.watch(event);
        assert!(watched.borrow_and_update().is_none());
        assert!(
            live.get(event).is_none(),
            "watching is no word of the box office"
        );
        for version in [1, 2, 2, 1] {
            live.put(event, stock(version));
        }
        assert!(watched.has_changed().unwrap());
        let last = watched.borrow_and_update().clone();
        assert_eq!(last.map(|heard| heard.stock.version), Some(2));
        live.put(event, stock(2));
        assert!(!watched.has_changed().unwrap());
        live.remove(event);
        assert!(watched.has_changed().is_err(), "an event that is gone");
    }

    #[test]
    fn it_is_ready_once_everything_is_read() {
        let live = LiveStock::default();
        assert!(live.check().is_err());
        live.caught_up().send_replace(true);
        assert!(live.check().is_ok());
    }
}
