//! A new owner knows of releases what the old one knew.

use apache_avro::writer::datum::GenericDatumWriter;
use platform::money::{Currency, Money};

use super::*;
use crate::config::LARGEST_BATCH;
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

/// What a producer of Kafka's client takes: `message.max.bytes` is 1,000,000 unless set, key and headers included.
const RECORD_BYTES: usize = 1_000_000 - 4_096;

#[test]
fn the_commands_of_the_largest_batch_are_one_record() {
    let commands: Vec<_> = (0..u128::from(LARGEST_BATCH))
        .map(|n| {
            let effect = CommandEffect {
                order_id: Uuid::from_u128(n),
                attempt: u32::MAX,
                fingerprint: [7; 32],
            };
            (Uuid::from_u128(n), effect)
        })
        .collect();
    let commands = commands.iter().map(|(id, effect)| (id, effect));
    let record = commands_out(commands, Timestamp::from_seconds(1));
    let mut bytes = Vec::new();
    let writer = GenericDatumWriter::builder(record::RecentCommands::schema())
        .human_readable(true)
        .build();
    let written = writer.and_then(|writer| writer.write_ser(&mut bytes, &record));
    assert!(written.is_ok(), "{written:?}");
    assert!(bytes.len() < RECORD_BYTES, "{} bytes", bytes.len());
}
