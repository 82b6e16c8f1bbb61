//! Whether the accounts still say what the orders say, on the running engine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::box_office::partition::Partition;

/// A hundred thousand open holds take some milliseconds, in which nothing is decided.
const COUNT_EVERY: Duration = Duration::from_secs(30);

/// Counts the seats of the open holds anew now and then. The gauge `checkout_miscounted_seats` is by how many the accounts of
/// a partition differ: 0, or a seat may be sold twice or never.
#[derive(Debug, Default)]
pub(super) struct Recount {
    counted_at: Option<Instant>,
    /// Partitions that the gauge speaks of.
    shown: BTreeSet<i32>,
}

impl Recount {
    /// Counts if it is time to.
    pub(super) fn look(&mut self, partitions: &BTreeMap<i32, Partition>) {
        if self.counted_at.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return;
        }
        self.counted_at = Some(Instant::now());
        self.count(partitions);
    }

    fn count(&mut self, partitions: &BTreeMap<i32, Partition>) {
        // Those that went to another member are its to count.
        self.shown.retain(|id| {
            let stays = partitions.contains_key(id);
            if !stays {
                show(*id, 0);
            }
            stays
        });
        for (&id, partition) in partitions {
            let miscounted = partition.books.miscounted_seats();
            if miscounted > 0 {
                tracing::error!(
                    partition = id,
                    miscounted,
                    "the accounts of the partition are not what its orders hold: stop the sale of its events and run the audit"
                );
            }
            show(id, miscounted);
            self.shown.insert(id);
        }
    }
}

impl Drop for Recount {
    fn drop(&mut self) {
        for &id in &self.shown {
            show(id, 0);
        }
    }
}

fn show(id: i32, miscounted: u64) {
    metrics::gauge!("checkout_miscounted_seats", "partition" => id.to_string())
        .set(miscounted as f64);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics_exporter_prometheus::PrometheusBuilder;
    use platform::clock::Timestamp;
    use platform::money::{Currency, Money};
    use uuid::Uuid;

    use super::*;
    use crate::domain::books::{Books, Changes};
    use crate::domain::event_book::{EventBook, Inventory, SaleStatus, TicketTypeOffer};

    /// Books of one event without orders, and what its account says is held.
    fn partition(held: i64) -> Partition {
        let inventory = Inventory {
            event_id: Uuid::from_u128(1),
            version: 1,
            status: SaleStatus::Published,
            organizer_id: Uuid::from_u128(2),
            currency: Currency::EUR,
            ticket_types: vec![TicketTypeOffer {
                id: Uuid::from_u128(3),
                kind: Arc::from("general"),
                price: Money::new(2500, Currency::EUR),
                quantity: 10,
                max_per_buyer: None,
                sale_starts_at: None,
                sale_ends_at: None,
            }],
            attendance_releases_seat: false,
        };
        let mut book = EventBook::open(&inventory, Timestamp::from_seconds(1));
        book.ticket_types[0].held = held;
        let mut books = Books::default();
        books.merge(Changes {
            events: [(book.id, book)].into(),
            ..Changes::default()
        });
        Partition {
            books,
            ..Partition::default()
        }
    }

    #[test]
    fn what_the_accounts_have_too_much_or_too_little_is_shown_until_somebody_else_counts() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let shown = || {
            let text = handle.render();
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            let mut values: Vec<_> = lines.filter_map(|line| line.split_once(' ')).collect();
            values.sort_unstable();
            let values = values.into_iter().map(|(_, value)| value.to_owned());
            values.collect::<Vec<_>>()
        };
        metrics::with_local_recorder(&recorder, || {
            let mut recount = Recount::default();
            let mut mine: BTreeMap<i32, Partition> = [(0, 0), (1, 2), (2, -1)]
                .map(|(id, held)| (id, partition(held)))
                .into();
            recount.look(&mine);
            assert_eq!(shown(), ["0", "2", "1"]);
            mine.remove(&1);
            recount.count(&mine);
            assert_eq!(shown(), ["0", "0", "1"]);
        });
        assert_eq!(shown(), ["0", "0", "0"], "with the incarnation");
    }
}
