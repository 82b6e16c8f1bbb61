//! A new owner knows of releases what the old one knew.

use platform::money::{Currency, Money};

use super::*;
use crate::domain::event_book::{Inventory, SaleStatus};
use crate::domain::order::Line;

#[test]
fn released_tickets_survive_a_take_over() {
    let id = Uuid::from_u128;
    let price = Money::new(2_500, Currency::EUR);
    let mut ended = EndedOrder {
        order_id: id(1),
        event_id: id(2),
        user_id: id(3),
        version: 4,
        lines: vec![Line {
            ticket_type_id: id(4),
            quantity: 1,
            unit_price: price,
            line_total: price,
        }],
        total: price,
        voucher: None,
        reserved_at: Timestamp::from_seconds(1),
        paid_by: Some(id(5)),
        settled: vec![id(5)],
        open_payment: None,
        refunded: false,
        released: Vec::new(),
    };
    assert_eq!(ended_in(&ended_out(&ended)), Ok(ended.clone()));
    ended.released.push(ReleasedTicket {
        ticket_id: id(6),
        ticket_type_id: id(4),
    });
    assert_eq!(ended_in(&ended_out(&ended)), Ok(ended));
}

#[test]
fn an_event_takes_seats_back_after_a_take_over_too() {
    let inventory = Inventory {
        event_id: Uuid::from_u128(2),
        version: 1,
        status: SaleStatus::Published,
        organizer_id: Uuid::from_u128(3),
        currency: Currency::EUR,
        ticket_types: Vec::new(),
        attendance_releases_seat: true,
    };
    let mut book = EventBook::open(&inventory, Timestamp::from_seconds(1));
    book.released = 3;
    assert_eq!(event_in(&event_out(&book)), Ok(book.clone()));
    // Of before: the event keeps its seats, and none came back.
    let mut old = event_out(&book);
    old.attendance_releases_seat = None;
    old.released = None;
    book.attendance_releases_seat = false;
    book.released = 0;
    assert_eq!(event_in(&old), Ok(book));
}
