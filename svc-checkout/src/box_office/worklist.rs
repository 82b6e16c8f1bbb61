//! What the jobs have to do, as the books say: never as rows say.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use platform::clock::Timestamp;
use platform::money::Money;
use uuid::Uuid;

use crate::domain::books::{Books, Changes};
use crate::domain::ended_order::EndedOrder;
use crate::domain::event_book::EventBook;
use crate::domain::fact::RefundOwed;
use crate::domain::order::Hold;

/// A payment whose end the box office does not know yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPayment {
    /// Order.
    pub order_id: Uuid,
    /// Event.
    pub event_id: Uuid,
    /// Payment.
    pub payment_id: Uuid,
    /// What was to be charged.
    pub amount: Money,
    /// Since when the list has it.
    pub since: Timestamp,
}

/// A cancelled event of which paid orders are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelledEvent {
    /// Event.
    pub event_id: Uuid,
    /// Who cancelled it, or for whom.
    pub organizer_id: Uuid,
}

#[derive(Default)]
struct Lists {
    /// By order; with the partition, to forget what goes to another owner.
    open: HashMap<Uuid, (i32, OpenPayment)>,
    refunds: HashMap<Uuid, (i32, RefundOwed)>,
    cancelled: HashMap<Uuid, (i32, CancelledEvent)>,
}

impl Lists {
    fn look_at(&mut self, partition: i32, book: &EventBook) {
        if book.owes_refunds() {
            let event = CancelledEvent {
                event_id: book.id,
                organizer_id: book.organizer_id,
            };
            self.cancelled.insert(book.id, (partition, event));
        } else {
            self.cancelled.remove(&book.id);
        }
    }
}

/// The lists, fed by the engine and read by the jobs.
#[derive(Default)]
pub struct Worklist {
    lists: Mutex<Lists>,
}

fn open_of_hold(hold: &Hold, now: Timestamp) -> Option<OpenPayment> {
    Some(OpenPayment {
        order_id: hold.order.id,
        event_id: hold.order.event_id,
        payment_id: hold.open_payment()?,
        amount: hold.order.total,
        since: now,
    })
}

fn open_of_ended(ended: &EndedOrder, now: Timestamp) -> Option<OpenPayment> {
    Some(OpenPayment {
        order_id: ended.order_id,
        event_id: ended.event_id,
        payment_id: ended.open_payment?,
        amount: ended.total,
        since: now,
    })
}

impl Worklist {
    fn with<T>(&self, change: impl FnOnce(&mut Lists) -> T) -> T {
        change(&mut self.lists.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes a committed batch of `partition` over.
    pub fn update(&self, partition: i32, changes: &Changes, now: Timestamp) {
        let is_untouched = changes.events.is_empty()
            && changes.holds.is_empty()
            && changes.ended.is_empty()
            && changes.refunds.is_empty();
        if is_untouched {
            return;
        }
        self.with(|lists| {
            for book in changes.events.values() {
                lists.look_at(partition, book);
            }
            // Holds before ended orders: an order that leaves the one may enter the other.
            let holds = changes
                .holds
                .iter()
                .map(|(id, hold)| (id, hold.as_ref().and_then(|hold| open_of_hold(hold, now))));
            let ended = changes
                .ended
                .iter()
                .map(|(id, ended)| (id, ended.as_ref().and_then(|e| open_of_ended(e, now))));
            for (order_id, open) in holds.chain(ended) {
                match open {
                    Some(open) => lists.open.insert(*order_id, (partition, open)),
                    None => lists.open.remove(order_id),
                };
            }
            for (payment_id, refund) in &changes.refunds {
                match refund {
                    Some(refund) => lists
                        .refunds
                        .insert(*payment_id, (partition, refund.clone())),
                    None => lists.refunds.remove(payment_id),
                };
            }
        });
    }

    /// Takes the books of a partition that came over: what the last owner left open.
    pub fn adopt(&self, partition: i32, books: &Books, now: Timestamp) {
        self.with(|lists| {
            let holds = books.holds().filter_map(|hold| open_of_hold(hold, now));
            let ended = books.ended().filter_map(|ended| open_of_ended(ended, now));
            for open in holds.chain(ended) {
                lists.open.insert(open.order_id, (partition, open));
            }
            for owed in books.refunds() {
                lists
                    .refunds
                    .insert(owed.payment_id, (partition, owed.clone()));
            }
            for book in books.events() {
                lists.look_at(partition, book);
            }
        });
    }

    /// Another engine looks after this partition now.
    pub fn drop_partition(&self, partition: i32) {
        self.with(|lists| {
            lists.open.retain(|_, (of, _)| *of != partition);
            lists.refunds.retain(|_, (of, _)| *of != partition);
            lists.cancelled.retain(|_, (of, _)| *of != partition);
        });
    }

    /// Payments that are open since `before` or earlier.
    pub fn open_payments(&self, before: Timestamp) -> Vec<OpenPayment> {
        self.with(|lists| {
            lists
                .open
                .values()
                .filter(|(_, open)| open.since <= before)
                .map(|(_, open)| open.clone())
                .collect()
        })
    }

    /// Refunds to make.
    pub fn refunds(&self) -> Vec<RefundOwed> {
        self.with(|lists| {
            lists
                .refunds
                .values()
                .map(|(_, owed)| owed.clone())
                .collect()
        })
    }

    /// Cancelled events of which paid orders are left.
    pub fn cancelled_events(&self) -> Vec<CancelledEvent> {
        self.with(|lists| lists.cancelled.values().map(|(_, event)| *event).collect())
    }

    /// Whether paid orders of a cancelled event are left, and are this process's business.
    pub fn has_cancelled_event(&self, event_id: Uuid) -> bool {
        self.with(|lists| lists.cancelled.contains_key(&event_id))
    }
}
