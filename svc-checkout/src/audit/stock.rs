//! The stock, counted again from the orders alone.

use std::collections::{BTreeMap, HashMap};

use schemas::Micros;
use schemas::checkout::StockLevel;
use uuid::Uuid;

use super::ledger::{Entry, Ledger, Released, Step};
use super::report::{Found, Promise};

/// Decisions of one batch bear the time of the batch or, one order decided several times in it, some µs more. Batches
/// are milliseconds apart.
pub(super) const OF_THE_SAME_BATCH: Micros = 100;

pub(super) fn check(ledger: &Ledger, found: &mut Found) {
    let mut by_event: HashMap<Uuid, Vec<&[Entry]>> = HashMap::new();
    for entries in ledger.orders.values() {
        if let Some(first) = entries.first() {
            by_event.entry(first.event_id).or_default().push(entries);
        }
    }
    for (event_id, orders) in &by_event {
        oversold(ledger, *event_id, orders, found);
    }
    for (event_id, levels) in &ledger.stock {
        let orders = by_event.get(event_id).map_or(&[][..], Vec::as_slice);
        adds_up(*event_id, levels, orders, found);
    }
}

/// Seats that one decision took, or gave back.
pub(super) struct Movement<'a> {
    pub(super) entry: &'a Entry,
    /// 1 or -1.
    pub(super) sign: i64,
    /// The order's records before it.
    earlier: &'a [Entry],
}

/// The seats that a record about an order is about, by ticket type; `earlier` are the order's records before it.
fn seats<'a>(entry: &'a Entry, earlier: &'a [Entry]) -> impl Iterator<Item = (Uuid, i64)> {
    let lines = entry.lines().iter();
    let lines = lines.map(|line| (line.ticket_type_id, line.quantity));
    // Released once more, whether or not that was allowed, a ticket frees no second seat.
    let one = entry.released.filter(|ticket| is_first(*ticket, earlier));
    let one = one.map(|ticket| (ticket.ticket_type_id, 1));
    // Whoever is refunded gives back what was not given back before.
    let before = match entry.step {
        Step::Refunded => earlier,
        _ => &[],
    };
    let before = before.iter().enumerate().filter_map(|(number, entry)| {
        let ticket = entry.released?;
        is_first(ticket, &before[..number]).then_some((ticket.ticket_type_id, -1))
    });
    lines.chain(one).chain(before)
}

fn is_first(ticket: Released, earlier: &[Entry]) -> bool {
    let mut released = earlier.iter().filter_map(|entry| entry.released);
    released.all(|other| other.ticket_id != ticket.ticket_id)
}

/// No decision took more seats than there were.
fn oversold(ledger: &Ledger, event_id: Uuid, orders: &[&[Entry]], found: &mut Found) {
    let offered = offered(ledger, event_id);
    let mut taken: HashMap<Uuid, i64> = HashMap::new();
    for movement in movements(orders) {
        let Movement { entry, sign, .. } = movement;
        for (ticket_type_id, quantity) in seats(entry, movement.earlier) {
            let seats = taken.entry(ticket_type_id).or_default();
            *seats += sign * quantity;
            let limit = offered.get(&ticket_type_id).copied().unwrap_or(0);
            if sign > 0 && *seats > limit {
                found.add(
                    Promise::NeverOversold,
                    ticket_type_id,
                    format!(
                        "event {event_id}: {seats} seats of ticket type {ticket_type_id} held and sold, {limit} on offer, after {}",
                        entry.place
                    ),
                );
            }
        }
    }
    ends_within(ledger, event_id, &taken, found);
}

/// In the end no more is held and sold than the newest inventory offers: a quantity is lowered only where that is so.
fn ends_within(ledger: &Ledger, event_id: Uuid, taken: &HashMap<Uuid, i64>, found: &mut Found) {
    let versions = ledger.inventory.get(&event_id).into_iter().flatten();
    let Some(newest) = versions.max_by_key(|inventory| inventory.version) else {
        return;
    };
    for offer in &newest.ticket_types {
        let seats = taken.get(&offer.ticket_type_id).copied().unwrap_or(0);
        if seats > offer.quantity {
            found.add(
                Promise::NeverOversold,
                offer.ticket_type_id,
                format!(
                    "event {event_id}: {seats} seats of ticket type {} held and sold in the end, {} on offer",
                    offer.ticket_type_id, offer.quantity
                ),
            );
        }
    }
}

/// The most that the catalog ever offered of each ticket type, as far as compaction has left it. Less is offered only
/// where no more than that is held and sold.
fn offered(ledger: &Ledger, event_id: Uuid) -> HashMap<Uuid, i64> {
    let mut most = HashMap::new();
    let versions = ledger.inventory.get(&event_id).into_iter().flatten();
    for offer in versions.flat_map(|version| &version.ticket_types) {
        let known = most.entry(offer.ticket_type_id).or_insert(offer.quantity);
        *known = (*known).max(offer.quantity);
    }
    most
}

/// Everything that changed how many seats are held and sold together, in the order of the decisions.
///
/// checkout.orders has them in that order but for those of orders that were paid after their end, which are on
/// checkout.payments. Among decisions of the same moment these count last: then a seat that was given back in that
/// moment is free, whichever was first.
pub(super) fn movements<'a>(orders: &[&'a [Entry]]) -> Vec<Movement<'a>> {
    let mut in_time = Vec::new();
    let mut after_the_end = Vec::new();
    for entries in orders {
        let mut before = None;
        for (number, entry) in entries.iter().enumerate() {
            let movement = |sign| Movement {
                entry,
                sign,
                earlier: &entries[..number],
            };
            match (entry.step, before) {
                (Step::Reserved, _) => in_time.push(movement(1)),
                (Step::Expired | Step::Cancelled | Step::Refunded | Step::Released, _) => {
                    in_time.push(movement(-1));
                }
                (Step::Confirmed, Some(Step::Expired)) => after_the_end.push(movement(1)),
                (Step::Confirmed | Step::Failed, _) => {}
            }
            before = Some(entry.step);
        }
    }
    let place = |movement: &Movement<'_>| movement.entry.place;
    in_time.sort_unstable_by_key(place);
    after_the_end.sort_unstable_by_key(place);
    let mut after_the_end = after_the_end.into_iter().peekable();
    let mut all = Vec::with_capacity(in_time.len());
    for movement in in_time {
        let earlier = |late: &Movement<'_>| late.entry.at < movement.entry.at;
        while let Some(late) = after_the_end.next_if(earlier) {
            all.push(late);
        }
        all.push(movement);
    }
    all.extend(after_the_end);
    all
}

/// Every level is a sum, they follow each other, and the last one is what the orders say.
fn adds_up(event_id: Uuid, levels: &[StockLevel], orders: &[&[Entry]], found: &mut Found) {
    let mut broken = |text| found.add(Promise::StockAddsUp, event_id, text);
    let mut last_version = i64::MIN;
    for level in levels {
        let version = level.version;
        if version <= last_version {
            broken(format!(
                "event {event_id}: stock version {version} after {last_version}"
            ));
        }
        last_version = version;
        for stock in &level.ticket_types {
            let sum = stock.held + stock.sold + stock.free;
            if stock.quantity != sum || stock.held < 0 || stock.sold < 0 {
                broken(format!(
                    "event {event_id}: version {version} has quantity {}, held {}, sold {}, free {}",
                    stock.quantity, stock.held, stock.sold, stock.free
                ));
            }
        }
    }
    let Some(last) = levels.last() else { return };
    let mut shown: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
    for stock in &last.ticket_types {
        shown.insert(stock.ticket_type_id, (stock.held, stock.sold));
    }
    shown.retain(|_, counts| *counts != (0, 0));
    let counted = count(orders, last.at + OF_THE_SAME_BATCH);
    if shown != counted {
        broken(format!(
            "event {event_id}: version {} has (held, sold) {shown:?}, the orders {counted:?}",
            last.version
        ));
    }
}

/// Held and sold of each ticket type at a time.
fn count(orders: &[&[Entry]], at: Micros) -> BTreeMap<Uuid, (i64, i64)> {
    let mut counts: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
    for entries in orders {
        let mut before = None;
        for (number, entry) in entries.iter().enumerate() {
            if entry.at > at {
                break;
            }
            // What a step does to the stock, whether or not it was allowed.
            let (held, sold) = match (entry.step, before) {
                (Step::Reserved, _) => (1, 0),
                (Step::Confirmed, Some(Step::Expired)) => (0, 1),
                (Step::Confirmed, _) => (-1, 1),
                (Step::Expired | Step::Cancelled, _) => (-1, 0),
                (Step::Refunded | Step::Released, _) => (0, -1),
                (Step::Failed, _) => (0, 0),
            };
            for (ticket_type_id, quantity) in seats(entry, &entries[..number]) {
                let (all_held, all_sold) = counts.entry(ticket_type_id).or_default();
                *all_held += held * quantity;
                *all_sold += sold * quantity;
            }
            before = Some(entry.step);
        }
    }
    counts.retain(|_, counts| *counts != (0, 0));
    counts
}
