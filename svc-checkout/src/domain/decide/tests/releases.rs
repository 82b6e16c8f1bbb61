//! Tickets that are given back while their order stays paid.

use std::collections::HashMap;

use super::*;
use crate::domain::order::ticket_id;

/// The hall's inventory with seats that can be given back.
fn takes_back(version: i64, general: i64, vip: i64) -> Inventory {
    Inventory {
        attendance_releases_seat: true,
        ..inventory(version, general, vip)
    }
}

fn hall() -> Hall {
    let mut hall = Hall::open(10, 10);
    assert!(hall.apply(&takes_back(2, 10, 10)));
    hall
}

/// The row as the projection has it after these many releases.
fn row_after(order: &Order, releases: i64) -> OrderRow {
    let mut row = OrderRow::from(order.clone());
    row.version += releases;
    row
}

fn by_row(order: &Order) -> Result<Answer, Refusal> {
    Ok(Answer::SeeRow {
        order_id: order.id,
        payment_id: None,
    })
}

fn released(facts: &[Fact]) -> Vec<Uuid> {
    let released = facts.iter().filter_map(|fact| match fact {
        Fact::Released(released) => Some(released.ticket.ticket_id),
        _ => None,
    });
    released.collect()
}

#[test]
fn a_ticket_gives_its_seat_back_and_no_money() {
    let mut hall = hall();
    let order = hall.paid(1, 1, &[(GENERAL, 2), (VIP, 1)]);
    let vip = order.tickets[2].id;
    let row = row_after(&order, 0);
    assert_eq!(hall.release(10, &order, vip, row), by_row(&order));
    assert_eq!(hall.stock(VIP), (0, 0, 10));
    assert_eq!(hall.stock(GENERAL), (0, 2, 8));
    let Some(Fact::Released(released)) = hall.facts.last() else {
        panic!("no record of it: {:?}", hall.facts)
    };
    assert_eq!(released.ticket.ticket_type_id, VIP);
    assert_eq!(released.user_id, order.user_id);
    assert_eq!(released.version, order.version + 1);
    assert!(released.at > order.updated_at);
    assert!(refunds_due(&hall.facts).is_empty());
    // Its number is not given again.
    let next = hall.paid(2, 2, &[(VIP, 1)]);
    assert_eq!(next.tickets[0].number, 4);
}

#[test]
fn a_ticket_is_given_back_once_whatever_its_row_says() {
    let mut hall = hall();
    let order = hall.paid(1, 1, &[(GENERAL, 2)]);
    let [first, second] = [order.tickets[0].id, order.tickets[1].id];
    let paid = row_after(&order, 0);
    hall.release(10, &order, first, paid.clone())
        .expect("released");
    // A repeat, with the row of before as well; its key with another body; a second wish with the row of before, and
    // with the row of now.
    assert_eq!(
        hall.release(10, &order, first, paid.clone()),
        by_row(&order)
    );
    let other_body = Command::ReleaseTicket(ReleaseTicket {
        command_id: Uuid::from_u128(10),
        event_id: EVENT,
        order_id: order.id,
        ticket_id: second,
        user_id: order.user_id,
        row: paid.clone(),
        fingerprint: [5; 32],
        not_after: hall.now,
    });
    assert_eq!(hall.decide(&other_body), Err(Refusal::KeyReused));
    assert_eq!(
        hall.release(11, &order, first, paid.clone()),
        Err(Refusal::SeeRow)
    );
    assert_eq!(
        hall.release(12, &order, first, row_after(&order, 1)),
        by_row(&order)
    );
    assert_eq!(released(&hall.facts), [first]);
    assert_eq!(hall.stock(GENERAL), (0, 1, 9));
    // The other ticket needs the row of now.
    assert_eq!(hall.release(13, &order, second, paid), Err(Refusal::SeeRow));
    hall.release(14, &order, second, row_after(&order, 1))
        .expect("released");
    assert_eq!(released(&hall.facts), [first, second]);
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
}

#[test]
fn a_refund_frees_what_is_left_and_pays_everything_back() {
    let mut hall = hall();
    let order = hall.paid(1, 1, &[(GENERAL, 2), (VIP, 2)]);
    let payment = order.payment_id.expect("paid with money");
    for (releases, command, ticket) in [(0, 11, 1), (1, 12, 2)] {
        let row = row_after(&order, releases);
        hall.release(command, &order, order.tickets[ticket].id, row)
            .expect("released");
    }
    assert_eq!(hall.stock(GENERAL), (0, 1, 9));
    assert_eq!(hall.stock(VIP), (0, 1, 9));
    let behind = row_after(&order, 1);
    assert_eq!(hall.refund(20, &order, behind), Err(Refusal::SeeRow));
    hall.refund(21, &order, row_after(&order, 2))
        .expect("refunded");
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    assert_eq!(hall.stock(VIP), (0, 0, 10));
    assert_eq!(refunds_due(&hall.facts), [payment]);
    let owed = hall.books.refunds().map(|owed| owed.amount);
    assert_eq!(owed.collect::<Vec<_>>(), [order.total]);
    let row = row_after(&order, 3);
    assert_eq!(
        hall.release(22, &order, order.tickets[0].id, row),
        Err(Refusal::AlreadyRefunded)
    );
}

#[test]
fn a_limit_counts_the_tickets_that_a_buyer_still_has() {
    let mut hall = hall();
    let order = hall.paid(1, 1, &[(VIP, 2)]);
    let full = |hall: &mut Hall, command, quantity| {
        matches!(
            hall.place(command, 1, &[(VIP, quantity)]),
            Err(Refusal::LimitPerBuyer { .. })
        )
    };
    assert!(full(&mut hall, 2, 1));
    hall.release(10, &order, order.tickets[0].id, row_after(&order, 0))
        .expect("released");
    assert!(full(&mut hall, 3, 2));
    hall.order(4, 1, &[(VIP, 1)]);
    // The refund counts the other ticket off, and that alone.
    hall.refund(20, &order, row_after(&order, 1))
        .expect("refunded");
    assert!(full(&mut hall, 5, 2));
    hall.order(6, 1, &[(VIP, 1)]);
}

#[test]
fn the_event_decides_whether_seats_come_back() {
    let mut hall = Hall::open(10, 10);
    let order = hall.paid(1, 1, &[(GENERAL, 1)]);
    let ticket = order.tickets[0].id;
    let row = row_after(&order, 0);
    let kept = Ok(Answer::Nothing);
    assert_eq!(hall.release(10, &order, ticket, row.clone()), kept);
    assert!(hall.apply(&takes_back(2, 10, 10)));
    let mut off = cancelled(3, 10, 10);
    off.attendance_releases_seat = true;
    assert!(hall.apply(&off));
    assert_eq!(hall.release(11, &order, ticket, row.clone()), kept);
    assert_eq!(hall.stock(GENERAL), (0, 1, 9));
    // It had no effect and is not remembered: the same wish is decided anew.
    assert!(hall.apply(&takes_back(4, 10, 10)));
    assert_eq!(hall.release(10, &order, ticket, row), by_row(&order));
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
}

#[test]
fn only_the_paid_is_given_back() {
    let mut hall = hall();
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    let ticket = ticket_id(order.id, 1);
    let shown = |status| row(&order, status, None);
    let ahead = shown(Status::Paid);
    assert_eq!(
        hall.release(10, &order, ticket, ahead),
        Err(Refusal::NotPaid)
    );
    hall.wait(HOLD);
    for (status, refusal) in [
        (Status::Reserved, Refusal::SeeRow),
        (Status::Expired, Refusal::NotPaid),
        (Status::Cancelled, Refusal::NotPaid),
        (Status::Refunded, Refusal::AlreadyRefunded),
    ] {
        assert_eq!(
            hall.release(11, &order, ticket, shown(status)),
            Err(refusal),
            "{status:?}"
        );
    }
    // A ticket that the order does not have, and a client that has gone.
    let paid = hall.paid(2, 2, &[(GENERAL, 1)]);
    let foreign = ticket_id(paid.id, 2);
    assert_eq!(
        hall.release(12, &paid, foreign, row_after(&paid, 0)),
        Err(Refusal::SeeRow)
    );
    let late = Command::ReleaseTicket(ReleaseTicket {
        command_id: Uuid::from_u128(13),
        event_id: EVENT,
        order_id: paid.id,
        ticket_id: paid.tickets[0].id,
        user_id: paid.user_id,
        row: row_after(&paid, 0),
        fingerprint: [0; 32],
        not_after: Timestamp::from_seconds(1),
    });
    assert_eq!(hall.decide(&late), Err(Refusal::TooLate));
    assert!(released(&hall.facts).is_empty());
}

#[test]
fn a_cancelled_event_owes_the_orders_that_have_no_ticket_left() {
    let mut hall = hall();
    let order = hall.paid(1, 1, &[(GENERAL, 1)]);
    hall.release(10, &order, order.tickets[0].id, row_after(&order, 0))
        .expect("released");
    assert!(hall.apply(&cancelled(3, 10, 10)));
    let owes = |hall: &Hall| hall.books.events().any(|book| book.owes_refunds());
    assert!(owes(&hall));
    hall.refund(20, &order, row_after(&order, 1))
        .expect("refunded");
    assert!(!owes(&hall));
    assert_eq!(refunds_due(&hall.facts).len(), 1);
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
}

#[test]
fn money_that_comes_later_goes_back_and_brings_no_seat() {
    let mut hall = hall();
    // Free: there is no payment that the books could know.
    let mut free = takes_back(3, 10, 10);
    free.ticket_types[0].price = eur(0);
    assert!(hall.apply(&free));
    let order = hall.order(1, 1, &[(GENERAL, 1)]);
    hall.release(10, &order, order.tickets[0].id, row_after(&order, 0))
        .expect("released");
    let other = crate::domain::order::payment_id(order.id, 1);
    for outcome in [PaymentOutcome::Declined, PaymentOutcome::Paid] {
        hall.settle(&order, other, outcome, None).expect("settled");
    }
    assert_eq!(refunds_due(&hall.facts), [other]);
    assert_eq!(hall.stock(GENERAL), (0, 0, 10));
    let row = row_after(&order, 1);
    assert_eq!(
        hall.release(11, &order, order.tickets[0].id, row),
        by_row(&order)
    );
}

/// Takes what was given back off `sold`, so that an order whose refund is counted off with all its lines is counted off
/// once; and holds the book to it.
pub(super) fn judge_releases(hall: &Hall, sold: &mut HashMap<Uuid, i64>) {
    let mut of_orders: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for fact in &hall.facts {
        match fact {
            Fact::Released(released) => {
                let of_order = of_orders.entry(released.order_id).or_default();
                of_order.push(released.ticket.ticket_type_id);
            }
            Fact::Refunded(order) => drop(of_orders.remove(&order.order_id)),
            _ => {}
        }
    }
    let event = hall.books.events().next().expect("the event is there");
    let released: Vec<Uuid> = of_orders.into_values().flatten().collect();
    assert_eq!(event.released, i64::try_from(released.len()).expect("few"));
    for ticket_type_id in released {
        *sold.entry(ticket_type_id).or_default() -= 1;
    }
}

/// A buyer is counted for the limited tickets that are held for him and that he still has.
pub(super) fn judge_buyers(hall: &Hall) {
    // By order: whose it is and how many he has of it.
    let mut of_orders: HashMap<Uuid, (Uuid, i64)> = HashMap::new();
    for fact in &hall.facts {
        match fact {
            Fact::Reserved(order) | Fact::Confirmed(order) => {
                let limited = order.lines.iter().filter(|it| it.ticket_type_id == VIP);
                let count = limited.map(|line| line.quantity).sum();
                of_orders.insert(order.id, (order.user_id, count));
            }
            Fact::Expired(order) | Fact::Cancelled { order, .. } => {
                of_orders.remove(&order.id);
            }
            Fact::Refunded(order) => {
                of_orders.remove(&order.order_id);
            }
            Fact::Released(released) if released.ticket.ticket_type_id == VIP => {
                let (_, count) = of_orders.get_mut(&released.order_id).expect("paid");
                *count -= 1;
            }
            _ => {}
        }
    }
    let mut expected: HashMap<Uuid, i64> = HashMap::new();
    for (user_id, count) in of_orders.into_values() {
        *expected.entry(user_id).or_default() += count;
    }
    let desk = Desk::new(&hall.books, HOLD);
    for (user_id, count) in expected {
        let counted = desk.buyer((EVENT, user_id)).map_or(0, |it| it.of(VIP));
        assert_eq!(counted, count, "limited tickets of {user_id}");
    }
}
