//! The books of one partition, and the desk at which a batch is decided.

use platform::clock::Timestamp;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

use super::ended_order::EndedOrder;
use super::event_book::EventBook;
use super::fact::RefundOwed;
use super::order::{Fingerprint, Hold, Line};
use super::voucher::{UsedVoucher, VoucherKey};

/// Tickets of one buyer, held and paid, where a ticket type has a limit. Key: event, user.
pub type BuyerKey = (Uuid, Uuid);

/// Counts of one buyer per limited ticket type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuyerCount {
    /// Ticket type and count; a type stands here once.
    pub counts: Vec<(Uuid, i64)>,
}

impl BuyerCount {
    /// How many tickets of a type the buyer has.
    pub fn of(&self, ticket_type_id: Uuid) -> i64 {
        self.counts
            .iter()
            .find(|(id, _)| *id == ticket_type_id)
            .map_or(0, |(_, count)| *count)
    }

    fn add(&mut self, ticket_type_id: Uuid, by: i64) {
        match self.counts.iter_mut().find(|(id, _)| *id == ticket_type_id) {
            Some((_, count)) => *count += by,
            None => self.counts.push((ticket_type_id, by)),
        }
        self.counts.retain(|(_, count)| *count > 0);
    }
}

/// What a command did, remembered for its repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandEffect {
    /// The order that it placed, started to pay, cancelled, refunded, or released a ticket of.
    pub order_id: Uuid,
    /// The payment attempt that it started; else 0.
    pub attempt: u32,
    /// Body of its request.
    pub fingerprint: Fingerprint,
}

/// Everything the box office knows of one partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Books {
    events: HashMap<Uuid, EventBook>,
    holds: HashMap<Uuid, Hold>,
    due: BTreeSet<(Timestamp, Uuid)>,
    /// Orders whose event was cancelled and that nobody is paying: follows from `events` and `holds`.
    stranded: BTreeSet<Uuid>,
    buyers: HashMap<BuyerKey, BuyerCount>,
    /// How many orders have a voucher; never 0.
    vouchers: HashMap<VoucherKey, i64>,
    refunds: HashMap<Uuid, RefundOwed>,
    ended: HashMap<Uuid, EndedOrder>,
    effects: HashMap<Uuid, CommandEffect>,
}

/// What a batch changes. `None` is a removal. The last value per key is what gets published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Event books.
    pub events: HashMap<Uuid, EventBook>,
    /// Open holds.
    pub holds: HashMap<Uuid, Option<Hold>>,
    /// Limited buyers.
    pub buyers: HashMap<BuyerKey, Option<BuyerCount>>,
    /// Uses of vouchers.
    pub vouchers: HashMap<VoucherKey, Option<i64>>,
    /// Refunds to make.
    pub refunds: HashMap<Uuid, Option<RefundOwed>>,
    /// Ended orders that money may still come for.
    pub ended: HashMap<Uuid, Option<EndedOrder>>,
    /// Commands that had an effect.
    pub effects: HashMap<Uuid, CommandEffect>,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.holds.is_empty()
            && self.buyers.is_empty()
            && self.vouchers.is_empty()
            && self.refunds.is_empty()
            && self.ended.is_empty()
            && self.effects.is_empty()
    }
}

fn overlay<K: std::hash::Hash + Eq, V>(base: &mut HashMap<K, V>, changes: HashMap<K, Option<V>>) {
    for (key, value) in changes {
        match value {
            Some(value) => base.insert(key, value),
            None => base.remove(&key),
        };
    }
}

impl Books {
    /// Takes a decided batch over.
    pub fn merge(&mut self, changes: Changes) {
        let newly_cancelled = self.newly_cancelled(&changes);
        self.events.extend(changes.events);
        if !newly_cancelled.is_empty() {
            let stranded = self.stranded_by(&newly_cancelled);
            let stranded: Vec<Uuid> = stranded.collect();
            self.stranded.extend(stranded);
        }
        for (order_id, hold) in changes.holds {
            if let Some(old) = self.holds.remove(&order_id) {
                self.due.remove(&(old.due_at(), order_id));
                self.stranded.remove(&order_id);
            }
            if let Some(hold) = hold {
                let event = self.events.get(&hold.order.event_id);
                if !hold.paying && event.is_some_and(EventBook::is_cancelled) {
                    self.stranded.insert(order_id);
                }
                self.due.insert((hold.due_at(), order_id));
                self.holds.insert(order_id, hold);
            }
        }
        overlay(&mut self.buyers, changes.buyers);
        overlay(&mut self.vouchers, changes.vouchers);
        overlay(&mut self.refunds, changes.refunds);
        overlay(&mut self.ended, changes.ended);
        self.effects.extend(changes.effects);
    }

    /// Events that `changes` cancel.
    fn newly_cancelled(&self, changes: &Changes) -> HashSet<Uuid> {
        let cancelled = changes.events.values().filter(|book| book.is_cancelled());
        cancelled
            .map(|book| book.id)
            .filter(|id| !self.events.get(id).is_some_and(EventBook::is_cancelled))
            .collect()
    }

    /// Orders that cannot be paid any more when these events are cancelled. Looks at every hold: once per cancelled
    /// event, which is cheaper than a list of every event's holds, kept for all that are never cancelled.
    fn stranded_by(&self, events: &HashSet<Uuid>) -> impl Iterator<Item = Uuid> {
        let holds = self.holds.values();
        let stranded = holds.filter(|hold| !hold.paying && events.contains(&hold.order.event_id));
        stranded.map(|hold| hold.order.id)
    }

    /// Forgets commands whose window has passed.
    pub fn forget_effects(&mut self, commands: impl IntoIterator<Item = Uuid>) {
        for command in commands {
            self.effects.remove(&command);
        }
    }

    /// Orders whose hold time has ended, at most `limit`.
    pub fn due(&self, now: Timestamp, limit: usize) -> Vec<Uuid> {
        self.due
            .iter()
            .take_while(|(due_at, _)| *due_at <= now)
            .take(limit)
            .map(|(_, order_id)| *order_id)
            .collect()
    }

    /// When the next hold ends.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(due_at, _)| *due_at)
    }

    /// Every event's book.
    pub fn events(&self) -> impl Iterator<Item = &EventBook> {
        self.events.values()
    }

    /// Every open hold.
    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values()
    }

    /// By how many seats the accounts of the events differ from what their open holds hold, counted anew: 0, or something
    /// is wrong. Looks at every hold.
    pub fn miscounted_seats(&self) -> u64 {
        let mut held: HashMap<(Uuid, Uuid), i64> = HashMap::new();
        for order in self.holds.values().map(|hold| &hold.order) {
            for line in &order.lines {
                let seats = held.entry((order.event_id, line.ticket_type_id));
                *seats.or_default() += line.quantity;
            }
        }
        let mut miscounted = 0;
        for event in self.events.values() {
            for book in &event.ticket_types {
                let counted = held.remove(&(event.id, book.id)).unwrap_or(0);
                miscounted += counted.abs_diff(book.held);
            }
        }
        // Of an event or a ticket type that nobody has an account of.
        let unknown: u64 = held.into_values().map(i64::unsigned_abs).sum();
        miscounted + unknown
    }

    /// Every voucher that orders have, and how many.
    pub fn vouchers(&self) -> impl Iterator<Item = (&VoucherKey, i64)> {
        self.vouchers.iter().map(|(key, uses)| (key, *uses))
    }

    /// Every refund to make.
    pub fn refunds(&self) -> impl Iterator<Item = &RefundOwed> {
        self.refunds.values()
    }

    /// Every ended order that is still remembered.
    pub fn ended(&self) -> impl Iterator<Item = &EndedOrder> {
        self.ended.values()
    }
}

/// The books as a batch sees them, with its own changes on top.
#[derive(Debug)]
pub struct Desk<'a> {
    books: &'a Books,
    /// How long a new hold lasts.
    pub hold_for: Duration,
    /// What the batch has changed so far.
    pub changes: Changes,
}

fn look<'a, K: std::hash::Hash + Eq, V>(
    changed: &'a HashMap<K, Option<V>>,
    base: &'a HashMap<K, V>,
    key: &K,
) -> Option<&'a V> {
    match changed.get(key) {
        Some(value) => value.as_ref(),
        None => base.get(key),
    }
}

impl<'a> Desk<'a> {
    /// A desk without changes.
    pub fn new(books: &'a Books, hold_for: Duration) -> Self {
        Self {
            books,
            hold_for,
            changes: Changes::default(),
        }
    }

    /// The book of an event.
    pub fn event(&self, id: Uuid) -> Option<&EventBook> {
        self.changes
            .events
            .get(&id)
            .or_else(|| self.books.events.get(&id))
    }

    /// The book of an event, to change it.
    pub fn event_mut(&mut self, id: Uuid) -> Option<&mut EventBook> {
        if !self.changes.events.contains_key(&id) {
            let book = self.books.events.get(&id)?.clone();
            self.changes.events.insert(id, book);
        }
        self.changes.events.get_mut(&id)
    }

    /// Whether an event was called off.
    pub fn is_cancelled(&self, event_id: Uuid) -> bool {
        self.event(event_id).is_some_and(EventBook::is_cancelled)
    }

    /// Open orders of cancelled events that nobody is paying, at most `limit`. Asked before the first command of a
    /// batch: holds that the batch itself has changed are not among them.
    pub fn stranded(&self, limit: usize) -> Vec<Uuid> {
        let newly_cancelled = self.books.newly_cancelled(&self.changes);
        let mut stranded: Vec<Uuid> = self.books.stranded.iter().copied().take(limit).collect();
        if !newly_cancelled.is_empty() {
            let left = limit - stranded.len();
            stranded.extend(self.books.stranded_by(&newly_cancelled).take(left));
        }
        stranded
    }

    /// Opens the book of an event.
    pub fn open_event(&mut self, book: EventBook) {
        self.changes.events.insert(book.id, book);
    }

    /// The open hold of an order.
    pub fn hold(&self, order_id: Uuid) -> Option<&Hold> {
        look(&self.changes.holds, &self.books.holds, &order_id)
    }

    /// Opens or changes a hold.
    pub fn put_hold(&mut self, hold: Hold) {
        self.changes.holds.insert(hold.order.id, Some(hold));
    }

    /// Closes a hold.
    pub fn close_hold(&mut self, order_id: Uuid) {
        self.changes.holds.insert(order_id, None);
    }

    /// What a command did earlier.
    pub fn effect(&self, command_id: Uuid) -> Option<&CommandEffect> {
        self.changes
            .effects
            .get(&command_id)
            .or_else(|| self.books.effects.get(&command_id))
    }

    /// Remembers what a command did.
    pub fn remember(&mut self, command_id: Uuid, effect: CommandEffect) {
        self.changes.effects.insert(command_id, effect);
    }

    /// A refund that is owed.
    pub fn refund(&self, payment_id: Uuid) -> Option<&RefundOwed> {
        look(&self.changes.refunds, &self.books.refunds, &payment_id)
    }

    /// Owes a refund.
    pub fn owe(&mut self, refund: RefundOwed) {
        self.changes.refunds.insert(refund.payment_id, Some(refund));
    }

    /// Closes a refund.
    pub fn close_refund(&mut self, payment_id: Uuid) {
        self.changes.refunds.insert(payment_id, None);
    }

    /// An ended order that is still remembered.
    pub fn ended(&self, order_id: Uuid) -> Option<&EndedOrder> {
        look(&self.changes.ended, &self.books.ended, &order_id)
    }

    /// Remembers an ended order.
    pub fn put_ended(&mut self, ended: EndedOrder) {
        self.changes.ended.insert(ended.order_id, Some(ended));
    }

    /// Forgets an ended order.
    pub fn forget_ended(&mut self, order_id: Uuid) {
        self.changes.ended.insert(order_id, None);
    }

    /// What a buyer has of the event's limited ticket types.
    pub fn buyer(&self, key: BuyerKey) -> Option<&BuyerCount> {
        look(&self.changes.buyers, &self.books.buyers, &key)
    }

    /// How many orders have a voucher.
    pub fn voucher_uses(&self, key: &VoucherKey) -> i64 {
        look(&self.changes.vouchers, &self.books.vouchers, key)
            .copied()
            .unwrap_or(0)
    }

    /// Counts an order for (`sign` 1) or off (`sign` -1) its voucher, if it has one.
    pub fn count_voucher(&mut self, event_id: Uuid, used: Option<&UsedVoucher>, sign: i64) {
        let Some(used) = used else { return };
        let key = (event_id, used.code.clone());
        let uses = self.voucher_uses(&key) + sign;
        self.changes
            .vouchers
            .insert(key, (uses > 0).then_some(uses));
    }

    /// Counts the lines of an order for (`sign` 1) or off (`sign` -1) its buyer, where the type counts orders of that time.
    pub fn count_buyer(&mut self, key: BuyerKey, lines: &[Line], placed_at: Timestamp, sign: i64) {
        let (event_id, _) = key;
        let mut count = self.buyer(key).cloned().unwrap_or_default();
        let before = count.clone();
        for line in lines {
            let counts = self
                .event(event_id)
                .and_then(|book| book.ticket_type(line.ticket_type_id))
                .is_some_and(|book| book.counts(placed_at));
            if counts {
                count.add(line.ticket_type_id, sign * line.quantity);
            }
        }
        if count != before {
            let count = (!count.counts.is_empty()).then_some(count);
            self.changes.buyers.insert(key, count);
        }
    }
}
