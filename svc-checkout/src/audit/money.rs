//! Money: the provider's own ledger against ours.

use std::collections::{BTreeMap, HashMap};

use schemas::Micros;
use uuid::Uuid;

use super::charges::{Charge, ChargeStatus, Charges};
use super::ledger::{Entry, Ledger, Step};
use super::report::{Found, Promise};

/// What is charged and not yet told to the box office, or owed back and not yet paid back, is done by jobs within
/// seconds. After this time it is a fault; but an event that was cancelled owes thousands, and as long as refunds are made
/// the others have to wait for their turn.
const ON_THE_WAY: Micros = 60_000_000;

/// What is known of a payment from our topics.
#[derive(Default)]
struct Payment<'a> {
    /// The order that it paid.
    paid: Option<(Uuid, &'a Entry)>,
    /// Since when it is owed back.
    due: Option<Micros>,
    /// It was paid back.
    refunded: bool,
}

/// Money that is neither in tickets nor back yet, and may be so.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct OnTheWay {
    /// Charged, and the box office has not been told.
    pub(super) captured: usize,
    /// Owed back.
    pub(super) owed: usize,
}

/// What is measured from.
#[derive(Clone, Copy)]
struct Times {
    now: Micros,
    /// When money last went back to anybody.
    last_refund: Micros,
}

pub(super) fn check(
    ledger: &Ledger,
    charges: &Charges,
    now: Micros,
    found: &mut Found,
) -> OnTheWay {
    charges.check(found);
    let mut payments: HashMap<Uuid, Payment<'_>> = HashMap::new();
    confirmed(ledger, &mut payments, found);
    owed(ledger, charges, &mut payments, found);
    promised_back(ledger, &payments, found);
    paid_back(ledger, &mut payments, found);
    for (payment_id, payment) in &payments {
        let charge = charges.get(*payment_id);
        bought(ledger, *payment_id, payment, charge, found);
    }
    let last_refund = ledger
        .refunded
        .iter()
        .map(|refund| refund.refunded_at)
        .max();
    let times = Times {
        now,
        last_refund: last_refund.unwrap_or_default(),
    };
    let mut on_the_way = OnTheWay::default();
    for (payment_id, charge) in charges.iter() {
        let payment = payments.get(&payment_id);
        gone_where(payment_id, charge, payment, times, &mut on_the_way, found);
    }
    on_the_way
}

/// Every order in which money was taken, and by which payment.
fn confirmed<'a>(ledger: &'a Ledger, payments: &mut HashMap<Uuid, Payment<'a>>, found: &mut Found) {
    for (order_id, entries) in &ledger.orders {
        for entry in entries.iter().filter(|entry| entry.step == Step::Confirmed) {
            let Some(payment_id) = entry.payment_id.filter(|id| !id.is_nil()) else {
                continue;
            };
            let payment = payments.entry(payment_id).or_default();
            if payment.paid.replace((*order_id, entry)).is_some() {
                found.add(
                    Promise::MoneyConserved,
                    payment_id,
                    format!(
                        "payment {payment_id} paid twice, at last at {}",
                        entry.place
                    ),
                );
            }
        }
    }
}

fn owed(
    ledger: &Ledger,
    charges: &Charges,
    payments: &mut HashMap<Uuid, Payment<'_>>,
    found: &mut Found,
) {
    for due in &ledger.due {
        let payment_id = due.payment_id;
        let mut broken = |text| found.add(Promise::MoneyConserved, payment_id, text);
        let payment = payments.entry(payment_id).or_default();
        if payment.due.replace(due.due_at).is_some() {
            broken(format!("payment {payment_id} is owed back twice"));
        }
        let is_charged = charges.get(payment_id).is_some_and(|charge| {
            matches!(
                charge.status,
                ChargeStatus::Captured | ChargeStatus::Refunded
            ) && charge.order_id == due.order_id
                && (charge.amount, charge.currency.as_str())
                    == (due.amount.amount, due.amount.currency.as_str())
        });
        if !is_charged {
            broken(format!(
                "payment {payment_id} is owed back, and that much was not charged for its order"
            ));
        }
    }
}

/// Whose order was cancelled while it was paid has been told that the money goes back.
fn promised_back(ledger: &Ledger, payments: &HashMap<Uuid, Payment<'_>>, found: &mut Found) {
    for (order_id, entries) in &ledger.orders {
        for entry in entries.iter().filter(|entry| entry.step == Step::Cancelled) {
            let Some(payment_id) = entry.payment_id else {
                continue;
            };
            let is_owed = |payment: &Payment<'_>| payment.due.is_some();
            if !payments.get(&payment_id).is_some_and(is_owed) {
                found.add(
                    Promise::MoneyConserved,
                    payment_id,
                    format!(
                        "order {order_id}: cancelled with payment {payment_id}, which is not owed back"
                    ),
                );
            }
        }
    }
}

fn paid_back(ledger: &Ledger, payments: &mut HashMap<Uuid, Payment<'_>>, found: &mut Found) {
    for refunded in &ledger.refunded {
        let payment_id = refunded.payment_id;
        let mut broken = |text| found.add(Promise::MoneyConserved, payment_id, text);
        let payment = payments.entry(payment_id).or_default();
        if payment.due.is_none() {
            broken(format!("payment {payment_id} went back and was not owed"));
        }
        if std::mem::replace(&mut payment.refunded, true) {
            broken(format!("payment {payment_id} went back twice"));
        }
    }
}

/// Tickets were charged for; money that bought tickets goes back only with them.
fn bought(
    ledger: &Ledger,
    payment_id: Uuid,
    payment: &Payment<'_>,
    charge: Option<&Charge>,
    found: &mut Found,
) {
    if payment.refunded && charge.is_none_or(|charge| charge.status != ChargeStatus::Refunded) {
        found.add(
            Promise::MoneyConserved,
            payment_id,
            format!("payment {payment_id} went back, and not at the provider"),
        );
    }
    let Some((order_id, entry)) = payment.paid else {
        return;
    };
    let total = entry.terms.as_ref().map(|terms| &terms.total);
    let is_charged = charge.zip(total).is_some_and(|(charge, total)| {
        matches!(
            charge.status,
            ChargeStatus::Captured | ChargeStatus::Refunded
        ) && charge.order_id == order_id
            && (charge.amount, charge.currency.as_str()) == (total.amount, total.currency.as_str())
    });
    if !is_charged {
        found.add(
            Promise::MoneyConserved,
            payment_id,
            format!(
                "order {order_id} has tickets, and payment {payment_id} did not take their price"
            ),
        );
    }
    let steps = ledger.orders.get(&order_id).into_iter().flatten();
    let is_taken_back = steps.last().is_some_and(|last| last.step == Step::Refunded);
    if is_taken_back != payment.due.is_some() {
        found.add(
            Promise::MoneyConserved,
            payment_id,
            format!(
                "order {order_id}: {}",
                if is_taken_back {
                    "its tickets are dead and its money is not owed back"
                } else {
                    "its money is owed back and its tickets are good"
                }
            ),
        );
    }
}

/// Every charge of the provider bought tickets or goes back.
fn gone_where(
    payment_id: Uuid,
    charge: &Charge,
    payment: Option<&Payment<'_>>,
    times: Times,
    on_the_way: &mut OnTheWay,
    found: &mut Found,
) {
    let mut broken = |text| found.add(Promise::MoneyConserved, payment_id, text);
    let paid = payment.is_some_and(|payment| payment.paid.is_some());
    let due = payment.and_then(|payment| payment.due);
    let is_back = payment.is_some_and(|payment| payment.refunded);
    match charge.status {
        ChargeStatus::Captured if due.is_none() && !paid => {
            if times.now - charge.changed_at > ON_THE_WAY {
                broken(format!(
                    "payment {payment_id} was charged and bought nothing"
                ));
            } else {
                on_the_way.captured += 1;
            }
        }
        ChargeStatus::Captured | ChargeStatus::Refunded if !is_back => {
            let since = match (charge.status, due) {
                (ChargeStatus::Refunded, None) => {
                    broken(format!("the provider paid {payment_id} back unasked"));
                    return;
                }
                (_, None) => return,
                (_, Some(since)) => since,
            };
            if times.now - since.max(times.last_refund) > ON_THE_WAY {
                broken(format!(
                    "payment {payment_id} is owed back for a minute and longer"
                ));
            } else {
                on_the_way.owed += 1;
            }
        }
        _ => {}
    }
}

/// Captured, paid back and sold in the currency, over all charges and orders.
pub(super) fn sums(ledger: &Ledger, charges: &Charges) -> BTreeMap<String, [i128; 3]> {
    let mut sums: BTreeMap<String, [i128; 3]> = BTreeMap::new();
    for charge in charges.lines() {
        let [captured, back, _] = sums.entry(charge.currency.clone()).or_default();
        let amount = i128::from(charge.amount);
        match charge.status {
            ChargeStatus::Captured => *captured += amount,
            ChargeStatus::Refunded => {
                *captured += amount;
                *back += amount;
            }
            ChargeStatus::Declined | ChargeStatus::Voided => {}
        }
    }
    for entries in ledger.orders.values() {
        // Released tickets leave the order paid.
        let mut steps = entries.iter().rev();
        if let Some(last) = steps.find(|entry| entry.step != Step::Released)
            && last.step == Step::Confirmed
            && let Some(terms) = &last.terms
        {
            let [_, _, sold] = sums.entry(terms.total.currency.clone()).or_default();
            *sold += i128::from(terms.total.amount);
        }
    }
    sums
}
