//! Ticket types of which nothing is left, so that the door can say so itself.
//!
//! Once an event is sold out most of those who come are too late. A command for each would keep the box office busy with saying no;
//! the stock that it publishes says it as well, to every instance.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use schemas::checkout::StockLevel;
use uuid::Uuid;

use super::client::COMMAND_DEADLINE;

/// The door is silent for this long after the last seat has gone: whoever got it, and has not heard of it, asks again
/// within that time and must be told of his order, whose row may not be written yet.
const SILENT_FOR: Duration = COMMAND_DEADLINE;

/// What the box office said last of the events' stock; fed by checkout.stock, asked by the door.
#[derive(Default)]
pub struct SoldOut {
    events: RwLock<HashMap<Uuid, Sold>>,
}

/// The sold out ticket types of an event.
struct Sold {
    version: i64,
    /// Since when this process has known it.
    types: Vec<(Uuid, Instant)>,
}

impl SoldOut {
    /// Takes a level, unless a newer one is known: the topic may be read again.
    pub fn put(&self, level: &StockLevel, now: Instant) {
        let mut events = self.events.write().unwrap_or_else(PoisonError::into_inner);
        let known = events.get(&level.event_id);
        if known.is_some_and(|known| known.version >= level.version) {
            return;
        }
        let since = |id: Uuid| {
            let mut types = known.into_iter().flat_map(|known| &known.types);
            types.find(|(known, _)| *known == id).map(|(_, at)| *at)
        };
        let types = level
            .ticket_types
            .iter()
            .filter(|stock| stock.free <= 0)
            .map(|stock| {
                (
                    stock.ticket_type_id,
                    since(stock.ticket_type_id).unwrap_or(now),
                )
            })
            .collect();
        let version = level.version;
        events.insert(level.event_id, Sold { version, types });
    }

    /// Which of these ticket types the door may refuse.
    pub fn find(
        &self,
        event_id: Uuid,
        mut wanted: impl Iterator<Item = Uuid>,
        now: Instant,
    ) -> Option<Uuid> {
        let events = self.events.read().unwrap_or_else(PoisonError::into_inner);
        let sold = events.get(&event_id)?;
        wanted.find(|id| {
            let since = sold.types.iter().find(|(known, _)| known == id);
            since.is_some_and(|(_, since)| now.duration_since(*since) > SILENT_FOR)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::checkout::TicketTypeStock;
    use std::iter::once;

    const EVENT: Uuid = Uuid::from_u128(1);
    const GENERAL: Uuid = Uuid::from_u128(2);
    const VIP: Uuid = Uuid::from_u128(3);

    fn level(version: i64, general: i64, vip: i64) -> StockLevel {
        let stock = |ticket_type_id, free| TicketTypeStock {
            ticket_type_id,
            quantity: 10,
            held: 0,
            sold: 10 - free,
            free,
        };
        StockLevel {
            event_id: EVENT,
            version,
            ticket_types: vec![stock(GENERAL, general), stock(VIP, vip)],
            at: 0,
        }
    }

    #[test]
    fn the_door_refuses_what_has_been_gone_for_a_while() {
        let sold_out = SoldOut::default();
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        let finds = |id, at| sold_out.find(EVENT, once(id), at) == Some(id);

        sold_out.put(&level(1, 0, 3), later(0));
        assert!(
            !finds(GENERAL, later(5)),
            "whoever got the last one still waits"
        );
        assert!(finds(GENERAL, later(6)));
        assert!(!finds(VIP, later(6)));
        assert!(
            sold_out
                .find(Uuid::nil(), once(GENERAL), later(6))
                .is_none()
        );

        sold_out.put(&level(2, 0, 0), later(6));
        assert!(finds(GENERAL, later(6)), "it has been gone all the time");
        assert!(!finds(VIP, later(6)) && finds(VIP, later(12)));

        sold_out.put(&level(3, 1, 0), later(13));
        assert!(!finds(GENERAL, later(20)), "one has come back");
        sold_out.put(&level(2, 0, 0), later(14));
        assert!(!finds(GENERAL, later(20)), "an old level changes nothing");
        sold_out.put(&level(4, 0, 0), later(20));
        assert!(!finds(GENERAL, later(25)) && finds(GENERAL, later(26)));
        let both = sold_out.find(EVENT, [Uuid::nil(), VIP].into_iter(), later(26));
        assert_eq!(both, Some(VIP));
    }
}
