//! Events for tests.

use platform::clock::Timestamp;
use platform::money::{Currency, Money};
use uuid::Uuid;

use super::{Details, Event, Venue};
use crate::domain::ticket_type::{Terms, TicketType};

/// 2026-03-01T00:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_772_323_200);
/// 2026-05-01T18:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_seconds(1_777_658_400);
/// 2026-05-01T22:00:00Z.
pub(crate) const END: Timestamp = Timestamp::from_seconds(1_777_672_800);

pub(crate) fn details() -> Details {
    Details {
        name: "Spring concert".into(),
        kind: "concert".into(),
        description: "Strings and brass.".into(),
        venue: Venue {
            name: "Old Mill".into(),
            city: "Lyon".into(),
            address: "1 rue du Moulin".into(),
        },
        starts_at: START,
        ends_at: END,
        time_zone: "Europe/Paris".into(),
        capacity: Some(500),
        image_url: None,
        attendance_releases_seat: false,
    }
}

pub(crate) fn draft() -> Event {
    Event::draft(Uuid::from_u128(7), Uuid::from_u128(8), details(), NOW).expect("a valid event")
}

pub(crate) fn terms(quantity: i64) -> Terms {
    Terms {
        name: "Stalls".into(),
        kind: "general".into(),
        price: Money::new(2_500, Currency::EUR),
        quantity,
        max_per_buyer: None,
        sale_starts_at: None,
        sale_ends_at: None,
    }
}

pub(crate) fn ticket_type(id: u128, quantity: i64) -> TicketType {
    TicketType {
        id: Uuid::from_u128(id),
        terms: terms(quantity),
        version: 2,
    }
}

/// A draft with one ticket type.
pub(crate) fn sellable() -> Event {
    let added = draft().add_ticket_type(Uuid::from_u128(1), terms(100));
    added.expect("valid terms").expect("a new ticket type")
}
