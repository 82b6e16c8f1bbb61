//! Guests of the organizer: their tickets cost nothing and are seats all the same.

use super::*;

/// The hall's inventory, with a sale that is over and one ticket for each buyer.
fn over(version: i64, general: i64) -> Inventory {
    let mut over = inventory(version, general, 0);
    over.ticket_types[0].sale_ends_at = Some(Timestamp::from_seconds(1));
    over.ticket_types[0].max_per_buyer = Some(1);
    over
}

#[test]
fn a_guest_has_a_ticket_at_once_and_pays_nothing() {
    let mut hall = Hall::open(10, 10);
    let command = hall.guest_command(1, 1, GENERAL);
    let decision = hall.decide(&command).expect("on the list");
    let Answer::Order(order) = &decision.answer else {
        panic!("no order: {decision:?}")
    };
    assert_eq!((order.status, order.total), (Status::Paid, eur(0)));
    assert_eq!((order.payment_id, order.tickets.len()), (None, 1));
    assert_eq!(order.tickets[0].price, eur(0));
    assert_eq!(hall.stock(GENERAL), (0, 1, 9));
    assert!(
        matches!(&decision.facts[..], [Fact::Reserved(_), Fact::Confirmed(_)]),
        "{decision:?}"
    );
    // The same wish again is the same ticket.
    let again = hall.decide(&command).expect("a repeat");
    assert!(again.facts.is_empty());
    assert_eq!(hall.stock(GENERAL), (0, 1, 9));
}

#[test]
fn the_end_of_the_sale_does_not_keep_guests_out_and_the_last_seat_does() {
    let mut hall = Hall::open(10, 10);
    assert!(hall.apply(&over(2, 1)));
    assert_eq!(hall.place(1, 1, &[(GENERAL, 1)]), Err(Refusal::SaleClosed));
    let command = hall.guest_command(2, 2, GENERAL);
    hall.decide(&command).expect("on the list");
    let command = hall.guest_command(3, 3, GENERAL);
    assert!(matches!(
        hall.decide(&command),
        Err(Refusal::SoldOut { free: 0, .. })
    ));
    assert!(hall.apply(&cancelled(3, 10, 10)));
    let command = hall.guest_command(4, 4, VIP);
    assert_eq!(hall.decide(&command), Err(Refusal::SaleClosed));
}

#[test]
fn a_guest_who_is_taken_back_leaves_a_seat_and_no_debt() {
    let mut hall = Hall::open(10, 10);
    let command = hall.guest_command(1, 1, VIP);
    let Ok(Answer::Order(order)) = hall.decide(&command).map(|decision| decision.answer) else {
        panic!("not on the list")
    };
    let row = OrderRow::from((*order).clone());
    hall.refund(2, &order, row).expect("taken back");
    assert_eq!(hall.stock(VIP), (0, 0, 10));
    assert!(refunds_due(&hall.facts).is_empty());
}
