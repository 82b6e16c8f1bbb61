//! Limits per buyer that come and go while the sale runs.

use super::*;
use crate::domain::order::payment_id;

/// The hall's inventory with another limit for general tickets.
fn limited(version: i64, limit: Option<i64>) -> Inventory {
    let mut limited = inventory(version, 20, 20);
    limited.ticket_types[0].max_per_buyer = limit;
    limited
}

fn refund(hall: &mut Hall, command: u128, order: &Order) {
    let row = row(order, Status::Paid, Some(payment_id(order.id, 1)));
    hall.refund(command, order, row).expect("refunded");
}

fn refused(hall: &mut Hall, command: u128, quantity: i64) {
    assert!(matches!(
        hall.place(command, 1, &[(GENERAL, quantity)]),
        Err(Refusal::LimitPerBuyer { .. })
    ));
}

#[test]
fn what_was_bought_before_the_limit_does_not_make_room_when_it_comes_back() {
    let mut hall = Hall::open(20, 20);
    let before = hall.paid(1, 1, &[(GENERAL, 2)]);
    hall.wait(Duration::from_secs(1));
    assert!(hall.apply(&limited(2, Some(3))));
    let after = hall.paid(2, 1, &[(GENERAL, 3)]);
    refused(&mut hall, 3, 1);
    refund(&mut hall, 4, &before);
    refused(&mut hall, 5, 1);
    refund(&mut hall, 6, &after);
    hall.order(7, 1, &[(GENERAL, 3)]);
}

#[test]
fn a_limit_that_was_away_for_a_while_knows_what_was_bought_meanwhile() {
    let mut hall = Hall::open(20, 20);
    assert!(hall.apply(&limited(2, Some(3))));
    hall.order(1, 1, &[(GENERAL, 1)]);
    assert!(hall.apply(&limited(3, None)));
    let meanwhile = hall.paid(2, 1, &[(GENERAL, 5)]);
    assert!(hall.apply(&limited(4, Some(3))));
    refused(&mut hall, 3, 1);
    refund(&mut hall, 4, &meanwhile);
    refused(&mut hall, 5, 3);
    hall.order(6, 1, &[(GENERAL, 2)]);
}
