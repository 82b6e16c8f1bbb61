//! The uses of vouchers, counted again from the orders alone.

use std::collections::HashMap;

use schemas::Micros;
use schemas::catalog::VoucherTerms;
use schemas::checkout::UsedVoucher;
use uuid::Uuid;

use super::ledger::{Entry, Ledger, Step, Terms};
use super::report::{Found, Promise};
use super::stock::{Movement, OF_THE_SAME_BATCH, movements};

/// Orders of one event that have a voucher, by its code.
type Users<'a> = HashMap<(Uuid, &'a str), Vec<&'a [Entry]>>;

pub(super) fn check(ledger: &Ledger, found: &mut Found) {
    let mut users: Users<'_> = HashMap::new();
    for entries in ledger.orders.values() {
        let Some((event_id, terms, used)) = beginning(entries) else {
            continue;
        };
        as_the_catalog_says(ledger, event_id, terms, used, found);
        let orders = users.entry((event_id, used.code.as_str())).or_default();
        orders.push(entries);
    }
    for ((event_id, code), orders) in &users {
        within_its_uses(*event_id, code, orders, found);
    }
    as_the_box_office_says(ledger, &users, found);
}

/// What an order with a voucher began with.
fn beginning(entries: &[Entry]) -> Option<(Uuid, &Terms, &UsedVoucher)> {
    let first = entries.first()?;
    let terms = first.terms.as_ref()?;
    Some((first.event_id, terms, terms.voucher.as_ref()?))
}

/// Everything that took a use or gave one back, in the order of the decisions. As with seats, but that what a refund gives
/// back is the seat alone, and so it is with a released ticket.
fn uses<'a>(orders: &[&'a [Entry]]) -> impl Iterator<Item = Movement<'a>> {
    let movements = movements(orders).into_iter();
    movements.filter(|movement| !matches!(movement.entry.step, Step::Refunded | Step::Released))
}

/// No order was placed with a voucher of which no use was left. Who paid after the end of the hold gets the voucher again
/// whatever is left: that may be one too many, and the next order must not have it.
fn within_its_uses(event_id: Uuid, code: &str, orders: &[&[Entry]], found: &mut Found) {
    let mut taken = 0;
    for Movement { entry, sign, .. } in uses(orders) {
        taken += sign;
        let terms = entry.terms.as_ref();
        let limit = terms.and_then(|terms| terms.voucher.as_ref());
        let limit = limit.map_or(0, |used| used.max_uses);
        if entry.step == Step::Reserved && taken > limit {
            found.add(
                Promise::VouchersKept,
                event_id,
                format!(
                    "event {event_id}: voucher {code} is used {taken} times, of {limit}, after {}",
                    entry.place
                ),
            );
        }
    }
}

/// The order has the voucher as the catalog described it in the version that the order names, where that is left.
fn as_the_catalog_says(
    ledger: &Ledger,
    event_id: Uuid,
    terms: &Terms,
    used: &UsedVoucher,
    found: &mut Found,
) {
    let versions = ledger.vouchers.get(&event_id).into_iter().flatten();
    let mut same =
        versions.filter(|known| (known.version, &known.code) == (used.version, &used.code));
    let Some(known) = same.next() else { return };
    let is_over = known
        .valid_until
        .is_some_and(|until| until <= terms.reserved_at);
    if is_over || known.max_uses != used.max_uses || !takes_off(known, terms, used) {
        found.add(
            Promise::VouchersKept,
            event_id,
            format!(
                "event {event_id}: an order has voucher {}, and not as version {} of it says",
                used.code, used.version
            ),
        );
    }
}

/// Rounded down, and at most the sum.
fn takes_off(known: &VoucherTerms, terms: &Terms, used: &UsedVoucher) -> bool {
    let sum: i128 = terms
        .lines
        .iter()
        .map(|line| i128::from(line.line_total.amount))
        .sum();
    let expected = match (known.percent_off, &known.amount_off) {
        (Some(percent), None) => sum * i128::from(percent) / 100,
        (None, Some(off)) if off.currency == used.discount.currency => {
            i128::from(off.amount).min(sum)
        }
        _ => return false,
    };
    i128::from(used.discount.amount) == expected
}

/// What it published last of a voucher is what the orders of that time come to.
fn as_the_box_office_says(ledger: &Ledger, users: &Users<'_>, found: &mut Found) {
    for ((event_id, code), level) in &ledger.voucher_levels {
        let orders = users.get(&(*event_id, code.as_str()));
        let counted = count(orders.map_or(&[], Vec::as_slice), level.at);
        if level.uses != counted {
            found.add(
                Promise::VouchersKept,
                *event_id,
                format!(
                    "event {event_id}: voucher {code} is said to be used {} times, the orders say {counted}",
                    level.uses
                ),
            );
        }
    }
    for (event_id, code) in users.keys() {
        let key = (*event_id, (*code).to_owned());
        if !ledger.voucher_levels.contains_key(&key) {
            found.add(
                Promise::VouchersKept,
                *event_id,
                format!("event {event_id}: orders have voucher {code}, and nobody counts them"),
            );
        }
    }
}

fn count(orders: &[&[Entry]], at: Micros) -> i64 {
    uses(orders)
        .filter(|movement| movement.entry.at <= at + OF_THE_SAME_BATCH)
        .map(|movement| movement.sign)
        .sum()
}
