//! What becomes of the orders of an event that is called off.

use std::time::Duration;

use super::*;
use crate::domain::command::SettleRefund;
use crate::domain::order::{PAYMENT_WINDOW, PROVIDER_PATIENCE, payment_id};

fn cancellations(facts: &[Fact]) -> Vec<Uuid> {
    facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Cancelled {
                order,
                reason: Some(EndReason::EventCancelled),
                payment_id: None,
            } => Some(order.id),
            _ => None,
        })
        .collect()
}

#[test]
fn nothing_is_sold_and_what_is_held_is_free_again() {
    let mut hall = Hall::open(10, 10);
    let first = hall.order(1, 1, &[(GENERAL, 2), (VIP, 2)]);
    let second = hall.order(2, 2, &[(GENERAL, 1)]);
    assert!(hall.apply(&cancelled(2, 10, 10)));
    assert_eq!(hall.place(3, 3, &[(GENERAL, 1)]), Err(Refusal::SaleClosed));
    let mut ended = cancellations(&hall.facts);
    ended.sort();
    let mut expected = [first.id, second.id];
    expected.sort();
    assert_eq!(ended, expected, "in the batch of the cancellation");
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    assert_eq!(hall.stock(VIP), (0, 0, 10));
    assert_eq!(hall.books.holds().count(), 0);
    let Some(Fact::Cancelled { order, .. }) = hall.facts.last() else {
        panic!("not cancelled")
    };
    assert_eq!(order.status, Status::Cancelled);
    assert_eq!((order.version, order.expires_at), (2, None));
    // The buyer's limit is free: nothing is counted any more.
    let desk = Desk::new(&hall.books, HOLD);
    assert_eq!(desk.buyer((EVENT, user(1))), None);
}

#[test]
fn many_holds_end_over_several_batches() {
    const ORDERS: u128 = 7;
    let mut hall = Hall::open(10, 10);
    let orders: Vec<_> = (0..ORDERS)
        .map(|n| hall.order(n + 1, n, &[(GENERAL, 1)]))
        .collect();
    hall.apply(&cancelled(2, 10, 10));
    assert_eq!(cancellations(&hall.facts).len(), STRANDED_PER_BATCH);
    // The books as another owner would read them: what is left to do follows from them.
    let changes = Changes {
        events: hall.books.events().map(|b| (b.id, b.clone())).collect(),
        holds: hall
            .books
            .holds()
            .map(|h| (h.order.id, Some(h.clone())))
            .collect(),
        ..Default::default()
    };
    hall.books = Books::default();
    hall.books.merge(changes);
    // Who waits for its turn can no longer be paid.
    let waiting = orders
        .iter()
        .find(|order| hall.books.holds().any(|hold| hold.order.id == order.id))
        .expect("one waits");
    assert_eq!(hall.start(100, waiting), Err(Refusal::OrderCancelled));
    assert_eq!([hall.turn(), hall.turn(), hall.turn()], [2, 2, 1]);
    assert_eq!(hall.turn(), 0);
    let ended = cancellations(&hall.facts);
    assert_eq!(ended.len(), orders.len());
    assert!(orders.iter().all(|order| ended.contains(&order.id)));
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
}

#[test]
fn holds_of_other_events_go_on() {
    let mut hall = Hall::open(10, 10);
    hall.order(1, 1, &[(GENERAL, 1)]);
    let mut other = inventory(1, 5, 5);
    other.event_id = Uuid::from_u128(0xee);
    other.status = SaleStatus::Cancelled;
    assert!(hall.apply(&other));
    assert_eq!(hall.turn(), 0);
    assert_eq!(hall.books.holds().count(), 1);
}

#[test]
fn who_is_paying_ends_with_the_payment_and_gets_the_money_back() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(VIP, 2)]);
    let payment = hall.started(10, &order);
    hall.apply(&cancelled(2, 10, 10));
    assert_eq!(hall.turn(), 0);
    assert_eq!(hall.stock(VIP), (2, 0, 8), "still held");
    let decision = hall
        .settle(&order, payment, PaymentOutcome::Paid, None)
        .expect("owed");
    assert_eq!(decision.answer, Answer::Nothing);
    assert!(
        matches!(&decision.facts[..], [Fact::Cancelled { order, reason, payment_id }, Fact::RefundDue(owed)]
            if order.version == 2 && *reason == Some(EndReason::EventCancelled) && *payment_id == Some(payment) && owed.payment_id == payment && owed.amount == order.total),
        "{decision:?}"
    );
    assert_eq!(hall.stock(VIP), (0, 0, 10));
    // The provider says it again, also after the money is back.
    let refund = Command::SettleRefund(SettleRefund {
        command_id: payment,
        event_id: EVENT,
        order_id: order.id,
        payment_id: payment,
    });
    hall.decide(&refund).expect("refunded");
    let again = hall
        .settle(&order, payment, PaymentOutcome::Paid, None)
        .expect("nothing");
    assert!(again.facts.is_empty());
    assert_eq!(refunds_due(&hall.facts), [payment]);
    assert_eq!(hall.start(11, &order), Err(Refusal::SeeRow));
    assert_eq!(hall.cancel(12, &order), Err(Refusal::SeeRow));
}

#[test]
fn a_declined_payment_ends_the_order_with_its_event() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let payment = hall.started(10, &order);
    hall.apply(&cancelled(2, 10, 10));
    let decision = hall
        .settle(&order, payment, PaymentOutcome::Declined, None)
        .expect("declined");
    assert!(matches!(decision.answer, Answer::PaymentDeclined { .. }));
    assert!(
        matches!(&decision.facts[..], [Fact::PaymentFailed(failed), Fact::Cancelled { order, .. }]
            if failed.version == 2 && order.version == 3 && order.updated_at > failed.at),
        "{decision:?}"
    );
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    assert_eq!(hall.turn(), 0, "it is not cancelled twice");
    assert!(refunds_due(&hall.facts).is_empty());
}

#[test]
fn another_attempt_that_is_open_is_watched() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let first = hall.started(10, &order);
    hall.settle(&order, first, PaymentOutcome::Declined, None)
        .expect("declined");
    let second = hall.started(11, &order);
    hall.apply(&cancelled(2, 10, 10));
    // The provider takes its word back: the first attempt was charged.
    hall.settle(&order, first, PaymentOutcome::Paid, None)
        .expect("owed");
    let ended = hall.books.ended().next().expect("remembered");
    assert_eq!(ended.open_payment, Some(second));
    hall.settle(&order, second, PaymentOutcome::Paid, None)
        .expect("owed");
    assert_eq!(refunds_due(&hall.facts), [first, second]);
}

#[test]
fn a_payment_without_an_end_expires_and_is_never_taken_again() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let payment = hall.started(10, &order);
    hall.apply(&cancelled(2, 10, 10));
    hall.wait(HOLD + PAYMENT_WINDOW + PROVIDER_PATIENCE - Duration::from_micros(1));
    assert_eq!(hall.stock(GENERAL), (1, 0, 9));
    hall.wait(Duration::from_micros(1));
    assert!(matches!(hall.facts.last(), Some(Fact::Expired(_))));
    hall.settle(&order, payment, PaymentOutcome::Paid, None)
        .expect("owed");
    assert_eq!(refunds_due(&hall.facts), [payment]);
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
}

#[test]
fn the_money_of_an_order_that_ended_before_goes_back() {
    let mut hall = Hall::open(10, 10);
    let late = hall.order(1, 1, &[(GENERAL, 1)]);
    hall.wait(HOLD);
    hall.apply(&cancelled(2, 10, 10));
    let payment = payment_id(late.id, 1);
    let expired = row(&late, Status::Expired, None);
    hall.settle(&late, payment, PaymentOutcome::Paid, Some(expired))
        .expect("owed");
    assert_eq!(refunds_due(&hall.facts), [payment]);
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
}

#[test]
fn the_book_tells_when_the_last_paid_order_is_refunded() {
    let owes = |hall: &Hall| {
        let mut events = hall.books.events();
        events.next().expect("the event is there").owes_refunds()
    };
    let mut hall = Hall::open(10, 10);
    let mut free = inventory(2, 10, 10);
    free.ticket_types[0].price = eur(0);
    let with_money = hall.paid(1, 1, &[(VIP, 1)]);
    hall.apply(&free);
    let free_of_charge = hall.order(2, 2, &[(GENERAL, 2)]);
    assert!(!owes(&hall));
    hall.apply(&cancelled(3, 10, 10));
    assert!(owes(&hall));
    let paid = OrderRow::from((*with_money).clone());
    hall.refund(20, &with_money, paid).expect("refunded");
    assert!(owes(&hall), "a free order counts, too");
    let paid = OrderRow::from((*free_of_charge).clone());
    hall.refund(21, &free_of_charge, paid).expect("refunded");
    assert!(!owes(&hall));
    assert_eq!(
        refunds_due(&hall.facts),
        Vec::from_iter(with_money.payment_id)
    );
    let reasons = hall.facts.iter().filter_map(|fact| match fact {
        Fact::Refunded(order) => order.reason,
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), [EndReason::EventCancelled; 2]);
}

#[test]
fn whoever_gives_an_order_up_before_its_turn_lost_it_to_the_event_all_the_same() {
    let mut hall = Hall::open(10, 10);
    let orders: Vec<_> = (0..=STRANDED_PER_BATCH as u128)
        .map(|n| hall.order(n + 1, n, &[(GENERAL, 1)]))
        .collect();
    hall.apply(&cancelled(2, 10, 10));
    let left = hall.books.holds().next().expect("one waits").order.id;
    let left = orders.iter().find(|order| order.id == left);
    hall.cancel(100, left.expect("one of them"))
        .expect("cancelled");
    assert_eq!(cancellations(&hall.facts).len(), orders.len());
}
