//! What an auditor must say of a sale when one thing is not in order.

mod releases;
mod sale;
mod vouchers;

use std::collections::BTreeSet;

use sale::{EVENT, NOW, SECOND, Sale, a_charge, euros, order, payment};
use schemas::checkout::EndReason;
use uuid::Uuid;

use super::charges::ChargeStatus;
use super::clients::History;
use super::ledger::Step;
use super::money;
use super::report::Promise::{self, *};
use super::report::{Found, Report};

#[test]
fn a_sale_in_order_is_left_in_peace() {
    assert_eq!(Sale::in_order().judge().0, []);
}

#[test]
fn each_disorder_is_seen() {
    type Spoil = fn(&mut Sale);
    let table: &[(&str, Spoil, &[Promise])] = &[
        (
            "a third seat is sold",
            |s| {
                s.step(5, Step::Reserved, 23 * SECOND);
                s.level(5, 23 * SECOND, 2, 1);
            },
            &[NeverOversold, RefusedWithoutEffect],
        ),
        (
            "a level is no sum",
            |s| s.ledger.stock.get_mut(&EVENT).unwrap()[1].ticket_types[0].free = 1,
            &[StockAddsUp],
        ),
        (
            "a level comes twice",
            |s| s.level(4, 22 * SECOND, 1, 1),
            &[StockAddsUp],
        ),
        (
            "a level counts otherwise than the orders",
            |s| s.level(5, 23 * SECOND, 0, 1),
            &[StockAddsUp],
        ),
        (
            "a paid hold ends",
            |s| {
                s.step(1, Step::Expired, 30 * SECOND);
                s.level(5, 30 * SECOND, 1, 1);
            },
            &[LegalMoves, StockAddsUp],
        ),
        (
            "an order is reserved twice",
            |s| {
                s.step(4, Step::Reserved, 30 * SECOND).version = 1;
            },
            &[LegalMoves, NeverOversold],
        ),
        (
            "a record is missing",
            |s| drop(s.ledger.orders.get_mut(&order(1)).unwrap().remove(1)),
            &[LegalMoves],
        ),
        (
            "time stands still",
            |s| s.entry(3, 1).at = 20 * SECOND,
            &[LegalMoves],
        ),
        (
            "the price changes",
            |s| s.entry(2, 3).terms.as_mut().unwrap().total = euros(1),
            &[LegalMoves],
        ),
        (
            "an order has two numbers",
            |s| s.entry(3, 1).number = Some("O-2".to_owned()),
            &[LegalMoves],
        ),
        (
            "an order ends with an event that goes on",
            |s| s.entry(3, 1).reason = Some(EndReason::EventCancelled),
            &[LegalMoves],
        ),
        (
            "money is promised back and not owed",
            |s| s.entry(3, 1).payment_id = Some(payment(3)),
            &[MoneyConserved],
        ),
        (
            "a hold ends early",
            |s| s.entry(2, 1).at = 11 * SECOND - 1,
            &[HoldsKept],
        ),
        (
            "a hold does not end",
            |s| s.entry(4, 0).expires_at = Some(NOW - 16 * 60 * SECOND - 1),
            &[HoldsKept],
        ),
        (
            "a hold does not end after a card was declined",
            |s| {
                s.entry(4, 0).expires_at = Some(NOW - 16 * 60 * SECOND - 1);
                s.step(4, Step::Failed, 23 * SECOND);
            },
            &[HoldsKept],
        ),
        (
            "a ticket is missing",
            |s| s.entry(1, 2).tickets.clear(),
            &[TicketsMatchOrders, NumbersGapless],
        ),
        (
            "a ticket has another price",
            |s| s.entry(1, 2).tickets[0].price = euros(1),
            &[TicketsMatchOrders],
        ),
        (
            "tickets without a payment",
            |s| s.entry(1, 2).payment_id = Some(Uuid::nil()),
            &[TicketsMatchOrders, MoneyConserved],
        ),
        (
            "a number comes twice",
            |s| s.entry(2, 2).tickets[0].number = 1,
            &[NumbersGapless],
        ),
        (
            "a number is left out",
            |s| s.entry(2, 2).tickets[0].number = 3,
            &[NumbersGapless],
        ),
        (
            "the card was declined",
            |s| s.charged(1).status = ChargeStatus::Declined,
            &[MoneyConserved],
        ),
        (
            "the charge was less",
            |s| s.charged(1).amount = 1,
            &[MoneyConserved],
        ),
        (
            "the charge was another order's",
            |s| s.charged(1).order_id = order(4),
            &[MoneyConserved],
        ),
        (
            "a charge bought nothing",
            |s| {
                s.charge(4, ChargeStatus::Captured, 30 * SECOND);
            },
            &[MoneyConserved],
        ),
        (
            "a charge stands in two ledgers",
            |s| {
                let again = a_charge(1, ChargeStatus::Captured, 3 * SECOND);
                s.charges.add(payment(1), again);
            },
            &[MoneyConserved],
        ),
        (
            "money went back twice",
            |s| s.paid_back(2, 15 * SECOND),
            &[MoneyConserved],
        ),
        (
            "money is owed back twice",
            |s| s.due(2, 13 * SECOND),
            &[MoneyConserved],
        ),
        (
            "a refund is never made",
            |s| {
                s.ledger.refunded.clear();
                s.charge(2, ChargeStatus::Captured, 12 * SECOND);
            },
            &[MoneyConserved],
        ),
        (
            "a refund that nobody owed",
            |s| s.ledger.due.clear(),
            &[MoneyConserved],
        ),
        (
            "money back for good tickets",
            |s| {
                s.due(1, 30 * SECOND);
                s.paid_back(1, 31 * SECOND);
                s.charge(1, ChargeStatus::Refunded, 31 * SECOND);
            },
            &[MoneyConserved],
        ),
        (
            "the provider paid back unasked",
            |s| {
                s.charge(1, ChargeStatus::Refunded, 31 * SECOND);
            },
            &[MoneyConserved],
        ),
        (
            "an answered order is lost",
            |s| s.asked("place", "key-6", None, "ok", Some(order(6))),
            &[NothingAnsweredIsLost],
        ),
        (
            "an answered payment is lost",
            |s| s.asked("pay", "pay-4", Some(order(4)), "ok", Some(order(4))),
            &[NothingAnsweredIsLost],
        ),
        (
            "an answered cancel is lost",
            |s| s.asked("cancel", "x", Some(order(4)), "ok", None),
            &[NothingAnsweredIsLost],
        ),
        (
            "an answered refund is lost",
            |s| s.asked("refund", "x", Some(order(1)), "ok", None),
            &[NothingAnsweredIsLost],
        ),
        (
            "one key makes two orders",
            |s| s.asked("place", "key-3", None, "ok", Some(order(4))),
            &[OneEffectPerKey, RefusedWithoutEffect],
        ),
    ];
    for (name, spoil, expected) in table {
        let mut sale = Sale::in_order();
        if *name == "one key makes two orders" {
            // Else the buyer's fourth wish would account for the fourth order.
            sale.history.retain(|line| line["key"] != "key-4");
        }
        spoil(&mut sale);
        let found = sale.judge();
        let expected: BTreeSet<Promise> = expected.iter().copied().collect();
        assert_eq!(found.promises(), expected, "{name}: {found:?}");
    }
}

#[test]
fn what_is_on_its_way_is_no_disorder() {
    let mut sale = Sale::in_order();
    sale.charge(4, ChargeStatus::Captured, NOW - SECOND);
    sale.ledger.refunded.clear();
    sale.ledger.due[0].due_at = NOW - SECOND;
    sale.charge(2, ChargeStatus::Captured, 12 * SECOND);
    let mut found = Found::default();
    let on_the_way = money::check(&sale.ledger, &sale.charges, NOW, &mut found);
    assert_eq!(found.0, []);
    assert_eq!((on_the_way.captured, on_the_way.owed), (1, 1));
}

#[test]
fn a_disorder_must_last() {
    let mut early = Found::default();
    early.add(LegalMoves, order(1), "its cause is not read yet");
    early.add(LegalMoves, order(2), "broken");
    let mut late = Found::default();
    late.add(LegalMoves, order(2), "broken");
    late.add(LegalMoves, order(3), "its cause is not read yet");
    let found = late.still(&early);
    assert_eq!(found.0.len(), 1);
    let mut report = Report::default();
    assert!(report.holds());
    report.broken(found);
    assert!(!report.holds());
    let shown = report.to_string();
    assert!(shown.contains("BROKEN  orders make legal moves"), "{shown}");
    assert!(
        shown.ends_with("verdict: BROKEN, 1 of 13 promises"),
        "{shown}"
    );
}

#[test]
fn a_history_that_makes_no_sense_is_refused() {
    for wrong in [
        "{",
        r#"{"op_id": 1}"#,
        r#"{"op_id":1,"kind":"place","phase":"ok","key":null,"user_id":"00000000-0000-0000-0000-000000000001","order_id":null,"request":null,"body":null}"#,
    ] {
        assert!(History::read(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
