use std::time::Duration;

use platform::clock::Timestamp;
use platform::money::{Currency, Money};
use uuid::Uuid;

use super::samples::{END, NOW, START, details, draft, sellable, terms};
use super::*;
use crate::domain::ticket_type::{MAX_PRICE_MINOR_UNITS, MAX_QUANTITY, MAX_TICKET_TYPES, Terms};

/// What is asked for, how it differs from what is allowed, and what is said about it.
type Case<T> = (
    &'static str,
    fn(&mut T),
    &'static [(&'static str, &'static str)],
);

const SECOND: Duration = Duration::from_secs(1);

fn found(violations: &Violations) -> Vec<(&'static str, &'static str)> {
    violations.iter().map(|v| (v.field, v.code)).collect()
}

fn drafted(change: impl FnOnce(&mut Details)) -> Result<Event, Violations> {
    let mut details = details();
    change(&mut details);
    Event::draft(Uuid::from_u128(7), Uuid::from_u128(8), details, NOW)
}

fn added(event: &Event, change: impl FnOnce(&mut Terms)) -> Result<Option<Event>, NotAdded> {
    let mut terms = terms(100);
    change(&mut terms);
    event.add_ticket_type(Uuid::from_u128(2), terms)
}

#[test]
fn a_draft_keeps_what_was_said() {
    let event = drafted(|d| {
        d.name = "  Spring concert ".into();
        d.time_zone = "europe/paris".into();
        d.starts_at = Timestamp::from_micros(START.as_micros() + 999);
    })
    .unwrap();
    assert_eq!(event, draft());
    assert_eq!((event.version, event.status), (1, Status::Draft));
}

#[test]
fn every_broken_rule_is_named() {
    let far = NOW + LATEST_START_AHEAD;
    let cases: [Case<Details>; 12] = [
        ("name", |d| d.name = " ".into(), &[("/name", "length")]),
        ("type", |d| d.kind = "x".repeat(41), &[("/type", "length")]),
        (
            "description",
            |d| d.description = "x".repeat(5_001),
            &[("/description", "length")],
        ),
        (
            "city",
            |d| d.venue.city.clear(),
            &[("/venue/city", "length")],
        ),
        (
            "order",
            |d| d.ends_at = d.starts_at,
            &[("/ends_at", "order")],
        ),
        (
            "length",
            |d| d.ends_at = d.starts_at + LONGEST + SECOND,
            &[("/ends_at", "range")],
        ),
        (
            "zone",
            |d| d.time_zone = "Mars/Olympus".into(),
            &[("/time_zone", "unknown")],
        ),
        (
            "no room",
            |d| d.capacity = Some(0),
            &[("/capacity", "range")],
        ),
        (
            "much room",
            |d| d.capacity = Some(MAX_CAPACITY + 1),
            &[("/capacity", "range")],
        ),
        (
            "image",
            |d| d.image_url = Some("javascript:alert(1)".into()),
            &[("/image_url", "invalid")],
        ),
        (
            "image host",
            |d| d.image_url = Some("https://".into()),
            &[("/image_url", "invalid")],
        ),
        (
            "two",
            |d| {
                d.name.clear();
                d.venue.address = "a\nb".into();
            },
            &[("/name", "length"), ("/venue/address", "text")],
        ),
    ];
    for (name, change, expected) in cases {
        assert_eq!(found(&drafted(change).unwrap_err()), expected, "{name}");
    }
    for starts_at in [
        Timestamp::MIN,
        EARLIEST_START - SECOND,
        far + SECOND,
        Timestamp::MAX - SECOND,
    ] {
        let refused = drafted(|d| {
            d.starts_at = starts_at;
            d.ends_at = starts_at + SECOND;
        });
        assert_eq!(
            found(&refused.unwrap_err()),
            [("/starts_at", "range")],
            "{starts_at}"
        );
    }
}

#[test]
fn the_bounds_themselves_are_allowed() {
    drafted(|d| {
        d.name = "é".repeat(MAX_NAME_CHARS);
        d.description = String::new();
        d.capacity = Some(MAX_CAPACITY);
        d.ends_at = d.starts_at + LONGEST;
        d.image_url = Some("https://example.com/a.png".into());
    })
    .unwrap();
}

#[test]
fn publishing_needs_a_ticket_type_and_a_future() {
    assert_eq!(draft().publish(NOW), Err(NotPublishable::NoTicketType));
    assert_eq!(sellable().publish(END), Err(NotPublishable::Past));
    for (status, expected) in [
        (Status::Cancelled, NotPublishable::Cancelled),
        (Status::Archived, NotPublishable::Archived),
    ] {
        let event = Event {
            status,
            ..sellable()
        };
        assert_eq!(event.publish(NOW), Err(expected));
    }
    let published = sellable().publish(END - SECOND).unwrap().unwrap();
    assert_eq!(
        (published.status, published.version),
        (Status::Published, 3)
    );
    assert!(published.is_public() && !sellable().is_public());
    assert_eq!(
        published.publish(END),
        Ok(None),
        "a second time changes nothing, whenever it comes"
    );
}

#[test]
fn only_what_was_published_is_cancelled_and_for_good() {
    let published = sellable().publish(NOW).unwrap().unwrap();
    let cancelled = published.cancel().unwrap().unwrap();
    assert_eq!(
        (cancelled.status, cancelled.version),
        (Status::Cancelled, published.version + 1)
    );
    assert!(cancelled.is_public(), "whoever bought a ticket sees why");
    assert_eq!(cancelled.ticket_types, published.ticket_types);
    assert_eq!(cancelled.cancel(), Ok(None), "again changes nothing");
    assert_eq!(cancelled.publish(NOW), Err(NotPublishable::Cancelled));
    for (status, expected) in [
        (Status::Draft, NotCancellable::Draft),
        (Status::Archived, NotCancellable::Archived),
    ] {
        let event = Event {
            status,
            ..sellable()
        };
        assert_eq!(event.cancel(), Err(expected));
    }
}

#[test]
fn a_ticket_type_is_held_to_its_event() {
    let cases: [Case<Terms>; 10] = [
        ("name", |t| t.name.clear(), &[("/name", "length")]),
        ("kind", |t| t.kind = "a\tb".into(), &[("/kind", "text")]),
        (
            "price",
            |t| t.price.amount = -1,
            &[("/price/amount", "range")],
        ),
        (
            "high price",
            |t| t.price.amount = MAX_PRICE_MINOR_UNITS + 1,
            &[("/price/amount", "range")],
        ),
        (
            "currency",
            |t| t.price = Money::zero(Currency::USD),
            &[("/price/currency", "currency")],
        ),
        ("none", |t| t.quantity = 0, &[("/quantity", "range")]),
        (
            "many",
            |t| t.quantity = MAX_QUANTITY + 1,
            &[("/quantity", "range")],
        ),
        (
            "capacity",
            |t| t.quantity = 401,
            &[("/quantity", "capacity")],
        ),
        (
            "limit",
            |t| t.max_per_buyer = Some(0),
            &[("/max_per_buyer", "range")],
        ),
        (
            "late",
            |t| t.sale_ends_at = Some(END + SECOND),
            &[("/sale_ends_at", "order")],
        ),
    ];
    for (name, change, expected) in cases {
        let Err(NotAdded::Invalid(violations)) = added(&sellable(), change) else {
            panic!("{name} was taken");
        };
        assert_eq!(found(&violations), expected, "{name}");
    }
    let Err(NotAdded::Invalid(violations)) = added(&sellable(), |t| {
        t.sale_starts_at = Some(START);
        t.sale_ends_at = Some(START);
    }) else {
        panic!("an empty sale was taken");
    };
    assert_eq!(found(&violations), [("/sale_ends_at", "order")]);
}

#[test]
fn a_ticket_type_joins_the_others() {
    let event = added(&sellable(), |t| t.quantity = 400).unwrap().unwrap();
    assert_eq!((event.version, event.unassigned_capacity()), (3, 0));
    assert_eq!(
        event.ticket_type(Uuid::from_u128(2)).map(|t| t.version),
        Some(3)
    );
    assert_eq!(
        event.ticket_type(Uuid::from_u128(1)).map(|t| t.version),
        Some(2)
    );
    assert_eq!(
        added(&event, |_| {}),
        Ok(None),
        "the same one again changes nothing"
    );
    for status in [Status::Cancelled, Status::Archived] {
        let closed = Event {
            status,
            ..sellable()
        };
        assert_eq!(added(&closed, |_| {}), Err(NotAdded::Closed));
    }
}

#[test]
fn an_event_has_so_many_ticket_types_and_no_more() {
    let mut event = draft();
    for id in 0..MAX_TICKET_TYPES {
        event = event
            .add_ticket_type(Uuid::from_u128(id as u128), terms(1))
            .unwrap()
            .unwrap();
    }
    let refused = event
        .add_ticket_type(Uuid::from_u128(1_000), terms(1))
        .unwrap_err();
    let NotAdded::Invalid(violations) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(found(&violations), [("", "count")]);
}
