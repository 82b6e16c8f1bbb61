//! The table, row by row.

use std::time::Duration;

use super::*;
use crate::domain::command::SettleRefund;
use crate::domain::order::{MAX_PAYMENT_ATTEMPTS, PAYMENT_WINDOW, PROVIDER_PATIENCE, payment_id};

#[test]
fn all_lines_or_none() {
    let mut hall = Hall::open(10, 1);
    let refused = hall.place(1, 1, &[(GENERAL, 3), (VIP, 2)]);
    assert_eq!(
        refused,
        Err(Refusal::SoldOut {
            ticket_type_id: VIP,
            free: 1
        })
    );
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    let order = hall.order(2, 1, &[(GENERAL, 3), (VIP, 1)]);
    assert_eq!(order.total, eur(3 * 2500 + 9000));
    assert_eq!(hall.stock(GENERAL), (3, 0, 7));
    assert_eq!(hall.stock(VIP), (1, 0, 0));
}

#[test]
fn what_cannot_be_sold_is_refused_by_name() {
    let mut hall = Hall::open(10, 10);
    assert_eq!(
        hall.place(1, 1, &[(EVENT, 1)]),
        Err(Refusal::UnknownTicketType(EVENT))
    );
    assert_eq!(
        hall.place(2, 1, &[(VIP, 3)]),
        Err(Refusal::LimitPerBuyer {
            ticket_type_id: VIP,
            limit: 2
        })
    );
    let late = hall.place_command(3, 1, &[(GENERAL, 1)]);
    hall.now = hall.now + Duration::from_secs(6);
    assert_eq!(hall.decide(&late), Err(Refusal::TooLate));
    let mut closed = inventory(2, 10, 10);
    closed.status = SaleStatus::Archived;
    assert!(hall.apply(&closed));
    assert_eq!(hall.place(4, 1, &[(GENERAL, 1)]), Err(Refusal::SaleClosed));
}

#[test]
fn the_limit_counts_held_and_paid_and_comes_back_with_the_hold() {
    let mut hall = Hall::open(10, 10);
    hall.order(1, 1, &[(VIP, 2)]);
    assert!(matches!(
        hall.place(2, 1, &[(VIP, 1)]),
        Err(Refusal::LimitPerBuyer { .. })
    ));
    hall.order(3, 2, &[(VIP, 2)]);
    hall.wait(HOLD);
    hall.order(4, 1, &[(VIP, 2)]);
}

#[test]
fn a_repeat_gets_the_same_order_and_another_body_is_refused() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 2)]);
    assert_eq!(hall.order(1, 1, &[(GENERAL, 2)]), order);
    assert_eq!(hall.stock(GENERAL), (2, 0, 8));
    assert_eq!(
        hall.place(1, 1, &[(GENERAL, 2), (VIP, 1)]),
        Err(Refusal::KeyReused)
    );
    hall.wait(HOLD);
    assert_eq!(
        hall.place(1, 1, &[(GENERAL, 2)]),
        Ok(Answer::SeeRow {
            order_id: order.id,
            payment_id: None
        })
    );
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
}

#[test]
fn a_payment_turns_the_hold_into_numbered_tickets() {
    let mut hall = Hall::open(10, 10);
    let first = hall.order(1, 1, &[(GENERAL, 2)]);
    let second = hall.order(2, 2, &[(GENERAL, 1), (VIP, 1)]);
    let paid_first = hall.started(10, &second);
    hall.settle(&second, paid_first, PaymentOutcome::Paid, None)
        .expect("paid");
    let paid_second = hall.started(11, &first);
    let decision = hall
        .settle(&first, paid_second, PaymentOutcome::Paid, None)
        .expect("paid");
    let Answer::Order(order) = decision.answer else {
        panic!("no order")
    };
    assert_eq!(order.status, Status::Paid);
    assert_eq!(order.expires_at, None);
    let numbers: Vec<i64> = order.tickets.iter().map(|ticket| ticket.number).collect();
    assert_eq!(numbers, [3, 4], "in the order of payment");
    assert_eq!(hall.stock(GENERAL), (0, 3, 7));
    // Settled again: nothing, with the row as it is now.
    let again = hall.settle(&first, paid_second, PaymentOutcome::Paid, None);
    assert_eq!(again, Err(Refusal::SeeRow));
    let paid_row = row(&first, Status::Paid, Some(paid_second));
    let again = hall
        .settle(&first, paid_second, PaymentOutcome::Paid, Some(paid_row))
        .expect("nothing to do");
    assert_eq!(again.answer, Answer::Nothing);
    assert!(again.facts.is_empty());
}

#[test]
fn a_declined_payment_leaves_the_hold_and_repeats_say_so() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let payment = hall.started(10, &order);
    assert_eq!(hall.start(11, &order), Err(Refusal::PaymentInProgress));
    assert_eq!(
        hall.started(10, &order),
        payment,
        "a repeat joins its attempt"
    );
    hall.settle(&order, payment, PaymentOutcome::Declined, None)
        .expect("declined");
    assert_eq!(
        hall.start(10, &order),
        Ok(Answer::PaymentDeclined {
            payment_id: payment
        })
    );
    assert_eq!(hall.stock(GENERAL), (1, 0, 9));
    for attempt in 1..MAX_PAYMENT_ATTEMPTS {
        let payment = hall.started(u128::from(20 + attempt), &order);
        hall.settle(&order, payment, PaymentOutcome::Declined, None)
            .expect("declined");
    }
    assert_eq!(hall.start(40, &order), Err(Refusal::TooManyAttempts));
}

#[test]
fn an_old_declined_answer_does_not_end_a_newer_attempt() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let first = hall.started(10, &order);
    hall.settle(&order, first, PaymentOutcome::Declined, None)
        .expect("declined");
    let second = hall.started(11, &order);
    let old = hall
        .settle(&order, first, PaymentOutcome::Declined, None)
        .expect("nothing");
    assert_eq!(old.answer, Answer::Nothing);
    hall.settle(&order, second, PaymentOutcome::Paid, None)
        .expect("paid");
    assert_eq!(hall.stock(GENERAL), (0, 1, 9));
}

#[test]
fn an_earlier_attempt_that_was_charged_pays_and_the_open_one_is_watched() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let first = hall.started(10, &order);
    hall.settle(&order, first, PaymentOutcome::Declined, None)
        .expect("declined");
    let second = hall.started(11, &order);
    hall.settle(&order, first, PaymentOutcome::Paid, None)
        .expect("paid");
    let ended = hall.books.ended().next().expect("remembered");
    assert_eq!(ended.open_payment, Some(second));
    hall.settle(&order, second, PaymentOutcome::Paid, None)
        .expect("refund due");
    assert_eq!(refunds_due(&hall.facts), [second]);
    // The provider says it again.
    hall.settle(&order, second, PaymentOutcome::Paid, None)
        .expect("nothing");
    assert_eq!(refunds_due(&hall.facts), [second]);
}

#[test]
fn a_hold_ends_on_time_but_not_while_it_is_being_paid() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let paying = hall.order(2, 2, &[(GENERAL, 1)]);
    hall.started(10, &paying);
    hall.wait(HOLD - Duration::from_micros(1));
    assert_eq!(hall.stock(GENERAL), (2, 0, 8), "none early");
    hall.wait(Duration::from_micros(1));
    assert_eq!(hall.stock(GENERAL), (1, 0, 9));
    assert_eq!(hall.start(11, &order), Err(Refusal::SeeRow));
    hall.wait(PAYMENT_WINDOW + PROVIDER_PATIENCE);
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    let ended = hall.books.ended().next().expect("remembered");
    assert_eq!(ended.open_payment, Some(payment_id(paying.id, 1)));
}

#[test]
fn paid_after_expiry_takes_the_seat_again_or_owes_the_money() {
    let mut hall = Hall::open(1, 10);
    let late = hall.order(1, 1, &[(GENERAL, 1)]);
    let payment = hall.started(10, &late);
    hall.wait(HOLD + PAYMENT_WINDOW + PROVIDER_PATIENCE);
    let decision = hall
        .settle(&late, payment, PaymentOutcome::Paid, None)
        .expect("again");
    assert!(matches!(decision.answer, Answer::Order(order) if order.status == Status::Paid));
    assert_eq!(hall.stock(GENERAL), (0, 1, 0));
    let other = payment_id(late.id, 2);
    hall.settle(&late, other, PaymentOutcome::Paid, None)
        .expect("owed");
    assert_eq!(refunds_due(&hall.facts), [other]);

    let mut hall = Hall::open(1, 10);
    let late = hall.order(1, 1, &[(GENERAL, 1)]);
    let payment = hall.started(10, &late);
    hall.settle(&late, payment, PaymentOutcome::Declined, None)
        .expect("declined");
    hall.wait(HOLD);
    hall.order(2, 2, &[(GENERAL, 1)]);
    let expired = row(&late, Status::Expired, None);
    hall.settle(&late, payment, PaymentOutcome::Paid, Some(expired.clone()))
        .expect("owed");
    assert_eq!(refunds_due(&hall.facts), [payment]);
    hall.settle(&late, payment, PaymentOutcome::Paid, Some(expired))
        .expect("once");
    assert_eq!(refunds_due(&hall.facts), [payment]);
}

#[test]
fn money_for_a_cancelled_order_always_goes_back_and_is_settled_once() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    hall.wait(HOLD);
    let payment = payment_id(order.id, 1);
    let cancelled = row(&order, Status::Cancelled, None);
    hall.settle(&order, payment, PaymentOutcome::Paid, Some(cancelled))
        .expect("owed");
    assert_eq!(refunds_due(&hall.facts), [payment]);
    let refund = Command::SettleRefund(SettleRefund {
        command_id: payment,
        event_id: EVENT,
        order_id: order.id,
        payment_id: payment,
    });
    let first = hall.decide(&refund).expect("refunded");
    assert!(matches!(first.facts[..], [Fact::RefundMade { .. }]));
    assert!(hall.decide(&refund).expect("once").facts.is_empty());
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
}

#[test]
fn a_row_that_is_behind_the_books_decides_nothing() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    hall.wait(HOLD);
    let behind = row(&order, Status::Reserved, None);
    let payment = payment_id(order.id, 1);
    assert_eq!(
        hall.settle(&order, payment, PaymentOutcome::Paid, Some(behind)),
        Err(Refusal::SeeRow)
    );
}

#[test]
fn a_free_order_is_paid_at_once() {
    let mut hall = Hall::open(10, 10);
    let mut free = inventory(2, 10, 10);
    free.ticket_types[0].price = eur(0);
    assert!(hall.apply(&free));
    let order = hall.order(1, 1, &[(GENERAL, 2)]);
    assert_eq!(order.status, Status::Paid);
    assert_eq!(order.tickets.len(), 2);
    assert_eq!(hall.stock(GENERAL), (0, 2, 8));
    assert_eq!(hall.books.holds().count(), 0);
}

#[test]
fn an_inventory_is_applied_once_and_never_backwards() {
    let mut hall = Hall::open(10, 10);
    hall.order(1, 1, &[(GENERAL, 4)]);
    assert!(hall.apply(&inventory(3, 20, 10)));
    assert!(!hall.apply(&inventory(2, 5, 5)));
    assert_eq!(hall.stock(GENERAL), (4, 0, 16));
}

#[test]
fn a_cancelled_hold_gives_its_stock_back_once() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 2), (VIP, 2)]);
    let Ok(Answer::Order(cancelled)) = hall.cancel(10, &order) else {
        panic!("not cancelled")
    };
    assert_eq!(cancelled.status, Status::Cancelled);
    assert_eq!((cancelled.version, cancelled.expires_at), (2, None));
    let last = hall.facts.last();
    assert!(
        matches!(
            last,
            Some(Fact::Cancelled {
                reason: Some(EndReason::Asked),
                payment_id: None,
                ..
            })
        ),
        "{last:?}"
    );
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    // The same wish again gets the same order, another one is refused by the row.
    let again = Answer::SeeRow {
        order_id: order.id,
        payment_id: None,
    };
    assert_eq!(hall.cancel(10, &order), Ok(again));
    assert_eq!(hall.cancel(11, &order), Err(Refusal::SeeRow));
    assert_eq!(hall.start(12, &order), Err(Refusal::SeeRow));
    hall.wait(HOLD);
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    // The buyer's limit is free again, too.
    hall.order(2, 1, &[(VIP, 2)]);
}

#[test]
fn only_the_unpaid_is_cancelled() {
    let mut hall = Hall::open(10, 10);
    let paying = hall.order(1, 1, &[(GENERAL, 1)]);
    let payment = hall.started(10, &paying);
    assert_eq!(hall.cancel(11, &paying), Err(Refusal::PaymentInProgress));
    let foreign = Order {
        user_id: user(2),
        ..(*paying).clone()
    };
    assert_eq!(hall.cancel(12, &foreign), Err(Refusal::SeeRow));
    hall.settle(&paying, payment, PaymentOutcome::Paid, None)
        .expect("paid");
    assert_eq!(hall.cancel(13, &paying), Err(Refusal::SeeRow));
    assert_eq!(hall.stock(GENERAL), (0, 1, 9));
}

#[test]
fn a_refund_kills_the_tickets_and_owes_the_money_once() {
    let mut hall = Hall::open(10, 10);
    let order = hall.paid(1, 1, &[(GENERAL, 2), (VIP, 2)]);
    let payment = order.payment_id.expect("paid with money");
    let paid = OrderRow::from((*order).clone());
    let answer = hall.refund(10, &order, paid.clone()).expect("refunded");
    let by_row = Answer::SeeRow {
        order_id: order.id,
        payment_id: None,
    };
    assert_eq!(answer, by_row);
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    assert_eq!(refunds_due(&hall.facts), [payment]);
    let Some(Fact::Refunded(refunded)) = hall.facts.iter().rev().nth(1) else {
        panic!("no record of the refund: {:?}", hall.facts)
    };
    assert_eq!(refunded.version, order.version + 1);
    assert_eq!(refunded.reason, Some(EndReason::Asked));
    assert!(refunded.at > order.updated_at);
    // A repeat, another wish with a row from before, and one with the row of now.
    assert_eq!(hall.refund(10, &order, paid.clone()), Ok(by_row));
    assert_eq!(hall.refund(11, &order, paid), Err(Refusal::AlreadyRefunded));
    let now = row(&order, Status::Refunded, Some(payment));
    assert_eq!(hall.refund(12, &order, now), Err(Refusal::AlreadyRefunded));
    assert_eq!(hall.start(13, &order), Err(Refusal::AlreadyRefunded));
    assert_eq!(hall.cancel(14, &order), Err(Refusal::AlreadyRefunded));
    // The provider repeats itself, and then says that another attempt was charged.
    hall.settle(&order, payment, PaymentOutcome::Paid, None)
        .expect("nothing");
    assert_eq!(refunds_due(&hall.facts), [payment]);
    let other = payment_id(order.id, 2);
    hall.settle(&order, other, PaymentOutcome::Paid, None)
        .expect("owed");
    assert_eq!(refunds_due(&hall.facts), [payment, other]);
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    // The seats and the buyer's limit are free again; numbers are not used twice.
    let next = hall.paid(2, 1, &[(VIP, 2)]);
    assert_eq!(next.tickets[0].number, 5);
}

#[test]
fn only_the_paid_is_refunded() {
    let mut hall = Hall::open(10, 10);
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let behind = row(&order, Status::Paid, None);
    assert_eq!(hall.refund(10, &order, behind), Err(Refusal::NotPaid));
    hall.wait(HOLD);
    for (status, refusal) in [
        (Status::Reserved, Refusal::SeeRow),
        (Status::Expired, Refusal::NotPaid),
        (Status::Cancelled, Refusal::NotPaid),
        (Status::Refunded, Refusal::AlreadyRefunded),
    ] {
        let shown = row(&order, status, None);
        assert_eq!(hall.refund(11, &order, shown), Err(refusal), "{status:?}");
    }
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
}

#[test]
fn an_order_paid_after_its_end_is_refunded_by_its_newest_row() {
    let mut hall = Hall::open(1, 10);
    let late = hall.order(1, 1, &[(GENERAL, 1)]);
    let payment = hall.started(10, &late);
    hall.wait(HOLD + PAYMENT_WINDOW + PROVIDER_PATIENCE);
    let decision = hall
        .settle(&late, payment, PaymentOutcome::Paid, None)
        .expect("taken again");
    let Answer::Order(order) = decision.answer else {
        panic!("not paid")
    };
    let expired = row(&late, Status::Expired, None);
    assert_eq!(hall.refund(11, &late, expired), Err(Refusal::SeeRow));
    let newest = OrderRow::from((*order).clone());
    hall.refund(11, &late, newest).expect("refunded");
    assert_eq!(refunds_due(&hall.facts), [payment]);
    assert_eq!(hall.stock(GENERAL), (0, 0, 1));
}

#[test]
fn a_free_order_is_taken_back_without_money() {
    let mut hall = Hall::open(10, 10);
    let mut free = inventory(2, 10, 10);
    free.ticket_types[0].price = eur(0);
    assert!(hall.apply(&free));
    let order = hall.order(1, 1, &[(GENERAL, 2)]);
    let paid = OrderRow::from((*order).clone());
    hall.refund(10, &order, paid.clone()).expect("refunded");
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    assert!(refunds_due(&hall.facts).is_empty());
    assert_eq!(hall.refund(11, &order, paid), Err(Refusal::AlreadyRefunded));
}
