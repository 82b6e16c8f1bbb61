//! Every order by itself: legal moves, holds kept, tickets for what was bought.

use std::collections::{HashMap, HashSet};

use schemas::Micros;
use schemas::catalog::EventStatus;
use schemas::checkout::{EndReason, IssuedTicket, OrderLine};
use uuid::Uuid;

use super::ledger::{Entry, Ledger, Step, Terms};
use super::report::{Found, Promise};

/// A hold has ended this long after its time, whatever its buyer did: 5 min to pay, 10 until the box office gives up a provider that does
/// not answer, and 1 for it all to happen.
const HOLD_ENDS_WITHIN: Micros = 16 * 60 * 1_000_000;

pub(super) fn check(ledger: &Ledger, now: Micros, found: &mut Found) {
    let mut ticket_ids = HashSet::new();
    let mut numbers: HashMap<Uuid, Vec<i64>> = HashMap::new();
    for (order_id, entries) in &ledger.orders {
        moves(*order_id, entries, found);
        same_terms(*order_id, entries, found);
        hold(*order_id, entries, found);
        hold_ends(*order_id, entries, now, found);
        ended_with_event(ledger, *order_id, entries, found);
        released(*order_id, entries, found);
        for entry in entries {
            if entry.step == Step::Confirmed {
                tickets(*order_id, entry, found);
                let issued = numbers.entry(entry.event_id).or_default();
                issued.extend(entry.tickets.iter().map(|ticket| ticket.number));
                for ticket in &entry.tickets {
                    if !ticket_ids.insert(ticket.ticket_id) {
                        let id = ticket.ticket_id;
                        found.add(
                            Promise::TicketsMatchOrders,
                            *order_id,
                            format!("ticket {id} is issued twice"),
                        );
                    }
                }
            }
        }
    }
    for (event_id, issued) in numbers {
        gapless(event_id, issued, found);
    }
}

/// Where an order is after a step from where it was; `None` where that step is not allowed.
fn next(was: Option<Step>, step: Step) -> Option<Step> {
    match (was, step) {
        (None, Step::Reserved) => Some(Step::Reserved),
        // A failed payment leaves the hold as it was.
        (Some(Step::Reserved), Step::Failed) => Some(Step::Reserved),
        (Some(Step::Reserved), Step::Confirmed | Step::Expired | Step::Cancelled) => Some(step),
        // Paid after its end, and the seats were free again.
        (Some(Step::Expired), Step::Confirmed) => Some(step),
        (Some(Step::Confirmed), Step::Refunded) => Some(step),
        // One ticket less, and paid as before.
        (Some(Step::Confirmed), Step::Released) => Some(Step::Confirmed),
        _ => None,
    }
}

/// One version after the other, each a legal move, decided and recorded in that order.
fn moves(order_id: Uuid, entries: &[Entry], found: &mut Found) {
    let mut broken = |what: String| found.add(Promise::LegalMoves, order_id, what);
    let mut was = None;
    let mut before: Option<&Entry> = None;
    for (expected, entry) in (1..).zip(entries) {
        let Entry {
            place,
            step,
            version,
            ..
        } = entry;
        if *version != expected {
            broken(format!(
                "order {order_id}: {step:?} at {place} has version {version} in place of {expected}"
            ));
            return;
        }
        let Some(is) = next(was, *step) else {
            broken(format!(
                "order {order_id}: {step:?} at {place} after {was:?}"
            ));
            return;
        };
        if let Some(before) = before {
            if before.at >= entry.at {
                broken(format!(
                    "order {order_id}: version {version} is not decided after the one before"
                ));
            }
            if before.place.topic == place.topic && before.place >= *place {
                broken(format!(
                    "order {order_id}: version {version} lies before the one before, at {place}"
                ));
            }
        }
        was = Some(is);
        before = Some(entry);
    }
}

/// All records of an order tell of the same purchase, and it adds up.
fn same_terms(order_id: Uuid, entries: &[Entry], found: &mut Found) {
    let Some(first) = entries.first() else { return };
    let same = entries.iter().all(|entry| {
        entry.event_id == first.event_id
            && entry.user_id == first.user_id
            && entry.place.partition == first.place.partition
            && (entry.terms.is_none() || entry.terms == first.terms)
            && (entry.number.is_none() || entry.number == first.number)
    });
    if !same {
        found.add(
            Promise::LegalMoves,
            order_id,
            format!("order {order_id}: its records tell of different purchases"),
        );
    }
    if let Some(terms) = &first.terms
        && !adds_up(terms)
    {
        found.add(
            Promise::MoneyConserved,
            order_id,
            format!("order {order_id}: its lines less its discount are not its total"),
        );
    }
}

fn adds_up(terms: &Terms) -> bool {
    let line = |line: &OrderLine| {
        line.quantity > 0
            && line.unit_price.amount >= 0
            && line.unit_price.currency == terms.total.currency
            && line.line_total.currency == terms.total.currency
            && line.unit_price.amount.checked_mul(line.quantity) == Some(line.line_total.amount)
    };
    let sum: i128 = terms
        .lines
        .iter()
        .map(|line| i128::from(line.line_total.amount))
        .sum();
    let used = terms.voucher.as_ref();
    let discount = used.map_or(0, |used| used.discount.amount);
    terms.lines.iter().all(line)
        && used.is_none_or(|used| used.discount.currency == terms.total.currency)
        && discount >= 0
        && terms.total.amount >= 0
        && sum == i128::from(terms.total.amount) + i128::from(discount)
}

fn hold(order_id: Uuid, entries: &[Entry], found: &mut Found) {
    let until = entries.iter().find_map(|entry| entry.expires_at);
    for entry in entries.iter().filter(|entry| entry.step == Step::Expired) {
        if until.is_some_and(|until| entry.at < until) {
            found.add(
                Promise::HoldsKept,
                order_id,
                format!(
                    "order {order_id}: ended {} µs early, at {}",
                    until.unwrap_or_default() - entry.at,
                    entry.place
                ),
            );
        }
    }
}

/// Its seats go back to those who want them.
fn hold_ends(order_id: Uuid, entries: &[Entry], now: Micros, found: &mut Found) {
    let until = entries.iter().find_map(|entry| entry.expires_at);
    let is_held = entries
        .last()
        .is_some_and(|last| matches!(last.step, Step::Reserved | Step::Failed));
    if let Some(until) = until
        && is_held
        && now - until > HOLD_ENDS_WITHIN
    {
        let late = (now - until) / 1_000_000;
        found.add(
            Promise::HoldsKept,
            order_id,
            format!("order {order_id}: still held {late} s after the end of its hold"),
        );
    }
}

/// What ended with its event had an event that was cancelled: its buyer was told so.
fn ended_with_event(ledger: &Ledger, order_id: Uuid, entries: &[Entry], found: &mut Found) {
    let with_event = |entry: &&Entry| entry.reason == Some(EndReason::EventCancelled);
    let Some(entry) = entries.iter().find(with_event) else {
        return;
    };
    let inventory = ledger.inventory.get(&entry.event_id);
    let newest = inventory.and_then(|versions| versions.iter().max_by_key(|it| it.version));
    if newest.is_none_or(|newest| newest.status != EventStatus::Cancelled) {
        found.add(
            Promise::LegalMoves,
            order_id,
            format!(
                "order {order_id}: ended with its event at {}, and the event goes on",
                entry.place
            ),
        );
    }
}

/// As many tickets of each type as were bought, at the price of their line.
fn tickets(order_id: Uuid, paid: &Entry, found: &mut Found) {
    let mut expected = Vec::new();
    for line in paid.lines() {
        let price = line.unit_price.amount;
        for _ in 0..line.quantity {
            expected.push((line.ticket_type_id, price));
        }
    }
    let of = |ticket: &IssuedTicket| (ticket.ticket_type_id, ticket.price.amount);
    let mut issued: Vec<_> = paid.tickets.iter().map(of).collect();
    issued.sort_unstable();
    expected.sort_unstable();
    if issued != expected {
        found.add(
            Promise::TicketsMatchOrders,
            order_id,
            format!(
                "order {order_id}: {} tickets for {} seats, or of other types or prices",
                issued.len(),
                expected.len()
            ),
        );
    }
    let is_free = paid
        .terms
        .as_ref()
        .is_some_and(|terms| terms.total.amount == 0);
    let has_payment = paid.payment_id.is_some_and(|id| !id.is_nil());
    if is_free == has_payment {
        found.add(
            Promise::TicketsMatchOrders,
            order_id,
            format!("order {order_id}: a payment for nothing, or tickets without a payment"),
        );
    }
}

/// What was released is a ticket of the order, of that type, once.
fn released(order_id: Uuid, entries: &[Entry], found: &mut Found) {
    let tickets = entries.iter().flat_map(|entry| &entry.tickets);
    let mut left: HashMap<Uuid, Uuid> = tickets
        .map(|ticket| (ticket.ticket_id, ticket.ticket_type_id))
        .collect();
    for ticket in entries.iter().filter_map(|entry| entry.released) {
        let id = ticket.ticket_id;
        if left.remove(&id) != Some(ticket.ticket_type_id) {
            found.add(
                Promise::TicketsMatchOrders,
                order_id,
                format!(
                    "order {order_id}: ticket {id} is released, and is not of it or was before"
                ),
            );
        }
    }
}

fn gapless(event_id: Uuid, mut numbers: Vec<i64>, found: &mut Found) {
    numbers.sort_unstable();
    let wrong = (1..)
        .zip(numbers)
        .find(|(expected, number)| expected != number);
    if let Some((expected, number)) = wrong {
        found.add(
            Promise::NumbersGapless,
            event_id,
            format!("event {event_id}: number {number} in place of {expected}"),
        );
    }
}
