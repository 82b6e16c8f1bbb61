//! What an auditor must say of tickets that were given back.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::sale::{SECOND, Sale, order};
use crate::audit::charges::ChargeStatus;
use crate::audit::ledger::Step;
use crate::audit::money;
use crate::audit::report::Promise::{self, *};

/// Order 1 gives its ticket back, and a sixth order gets the seat.
fn given_back() -> Sale {
    let mut sale = Sale::in_order();
    sale.step(1, Step::Released, 30 * SECOND);
    let ticket = Some(sale.ticket(1));
    sale.asked("release", "back-1", Some(order(1)), "ok", ticket);
    sale.level(5, 30 * SECOND, 1, 0);
    sale.step(6, Step::Reserved, 31 * SECOND);
    sale.asked("place", "key-6", None, "ok", Some(order(6)));
    sale.level(6, 31 * SECOND, 2, 0);
    sale
}

fn money_back(sale: &mut Sale) {
    sale.due(1, 32 * SECOND);
    sale.paid_back(1, 33 * SECOND);
    sale.charge(1, ChargeStatus::Refunded, 33 * SECOND);
}

#[test]
fn a_seat_that_was_given_back_is_sold_again_and_its_order_is_still_paid() {
    let sold = |sale: &Sale| money::sums(&sale.ledger, &sale.charges)["EUR"][2];
    let sale = given_back();
    assert_eq!(sale.judge().0, []);
    assert_eq!(sold(&sale), sold(&Sale::in_order()));
}

#[test]
fn a_refund_frees_no_seat_that_is_free_already() {
    let mut sale = given_back();
    sale.step(1, Step::Refunded, 32 * SECOND);
    money_back(&mut sale);
    sale.level(7, 32 * SECOND, 2, 0);
    assert_eq!(sale.judge().0, []);
}

#[test]
fn each_disorder_of_released_tickets_is_seen() {
    type Spoil = fn(&mut Sale);
    let table: &[(&str, Spoil, &[Promise])] = &[
        (
            "the refund frees the seat once more",
            |s| {
                s.step(1, Step::Refunded, 32 * SECOND);
                money_back(s);
                s.level(7, 32 * SECOND, 2, -1);
            },
            &[StockAddsUp],
        ),
        (
            "the seat is sold twice",
            |s| {
                s.step(7, Step::Reserved, 34 * SECOND);
                s.asked("place", "key-7", None, "ok", Some(order(7)));
                s.level(7, 34 * SECOND, 3, 0);
            },
            &[NeverOversold],
        ),
        (
            "the seat is not free",
            |s| s.level(7, 34 * SECOND, 2, 1),
            &[StockAddsUp],
        ),
        (
            "it is no ticket of the order",
            |s| s.entry(1, 3).released.as_mut().unwrap().ticket_id = Uuid::from_u128(9),
            &[TicketsMatchOrders, NothingAnsweredIsLost],
        ),
        (
            "it is released twice",
            |s| {
                s.step(1, Step::Released, 34 * SECOND);
            },
            &[TicketsMatchOrders],
        ),
        (
            "it is released twice, and its seat is sold twice",
            |s| {
                s.step(1, Step::Released, 34 * SECOND);
                s.step(7, Step::Reserved, 35 * SECOND);
                s.asked("place", "key-7", None, "ok", Some(order(7)));
                s.level(7, 35 * SECOND, 3, -1);
            },
            &[TicketsMatchOrders, NeverOversold, StockAddsUp],
        ),
        (
            "that another one was given back was answered and is lost",
            |s| {
                let other = Some(Uuid::from_u128(9));
                s.asked("release", "x", Some(order(1)), "ok", other);
            },
            &[NothingAnsweredIsLost],
        ),
        (
            "its order is not paid",
            |s| {
                s.step(4, Step::Released, 34 * SECOND);
            },
            &[LegalMoves, TicketsMatchOrders],
        ),
        (
            "its money goes back and its order is paid",
            money_back,
            &[MoneyConserved],
        ),
    ];
    for (name, spoil, expected) in table {
        let mut sale = given_back();
        spoil(&mut sale);
        let found = sale.judge();
        let expected: BTreeSet<Promise> = expected.iter().copied().collect();
        assert_eq!(found.promises(), expected, "{name}: {found:?}");
    }
}
