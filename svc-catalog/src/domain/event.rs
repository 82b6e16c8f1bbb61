//! An event: what it is, what may become of it, what it may sell.

use std::time::Duration;

use platform::clock::Timestamp;
use platform::money::Currency;
use uuid::Uuid;

use super::image_url::{MAX_IMAGE_URL_CHARS, is_image_url};
use super::rule::Violations;
use super::ticket_type::{self, TicketType};
use super::time_zone::known_zone;

pub use changes::{Lowered, NotArchivable, NotChanged};

/// Longest name, in characters.
pub const MAX_NAME_CHARS: usize = 200;
/// Longest type, in characters.
pub const MAX_KIND_CHARS: usize = 40;
/// Longest description, in characters: at most 20 kB of a batch, which must stay below 40 KiB.
pub const MAX_DESCRIPTION_CHARS: usize = 5_000;
/// Longest name of a venue or a city and longest address, in characters.
pub const MAX_VENUE_CHARS: usize = 200;
/// Most people that an event can have room for.
pub const MAX_CAPACITY: i64 = 1_000_000;
/// Events start in 2000 at the earliest …
pub const EARLIEST_START: Timestamp = Timestamp::from_seconds(946_684_800);
/// … and within ten years from now: a year further on is a typing error.
pub const LATEST_START_AHEAD: Duration = Duration::from_hours(10 * 366 * 24);
/// Longest event.
pub const LONGEST: Duration = Duration::from_hours(366 * 24);

/// Where an event is in its life: draft → published → cancelled or archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Seen by its owner alone.
    Draft,
    /// Seen by everyone, and on sale.
    Published,
    /// Will not take place.
    Cancelled,
    /// Over and put away.
    Archived,
}

/// Where an event takes place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Venue {
    /// Name of the house.
    pub name: String,
    /// City.
    pub city: String,
    /// Street address.
    pub address: String,
}

/// What an organizer says about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Title.
    pub name: String,
    /// `concert`, `theatre`, …
    pub kind: String,
    /// Plain text.
    pub description: String,
    /// Place.
    pub venue: Venue,
    /// Start, in whole milliseconds.
    pub starts_at: Timestamp,
    /// End, in whole milliseconds.
    pub ends_at: Timestamp,
    /// IANA zone of the place.
    pub time_zone: String,
    /// People that the place has room for; none: [`MAX_CAPACITY`].
    pub capacity: Option<i64>,
    /// A picture.
    pub image_url: Option<String>,
    /// Whether who will not come gives the seat back, for somebody else to buy.
    pub attendance_releases_seat: bool,
}

/// An event with its ticket types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Id.
    pub id: Uuid,
    /// From 1, plus one with every change of the event or its ticket types.
    pub version: i64,
    /// Owner.
    pub organizer_id: Uuid,
    /// Where it is in its life.
    pub status: Status,
    /// What the organizer said.
    pub details: Details,
    /// What it sells, in the order of their ids, which is the order of their making.
    pub ticket_types: Vec<TicketType>,
}

/// Why an event cannot be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPublishable {
    /// There would be nothing to sell.
    #[error("it has no ticket type: add one first")]
    NoTicketType,
    /// Nobody could come.
    #[error("it has already ended")]
    Past,
    /// It will not take place.
    #[error("it was cancelled")]
    Cancelled,
    /// It was put away.
    #[error("it is archived")]
    Archived,
}

/// Why an event cannot be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCancellable {
    /// Nobody was promised anything.
    #[error("it is a draft: nobody else has seen it")]
    Draft,
    /// It was put away.
    #[error("it is archived")]
    Archived,
}

/// Why an event does not take a ticket type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAdded {
    /// The terms break rules.
    Invalid(Violations),
    /// A cancelled or archived event sells nothing any more.
    Closed,
}

impl Event {
    /// A new draft.
    pub fn draft(
        id: Uuid,
        organizer_id: Uuid,
        details: Details,
        now: Timestamp,
    ) -> Result<Self, Violations> {
        Ok(Self {
            id,
            version: 1,
            organizer_id,
            status: Status::Draft,
            details: details.checked(now)?,
            ticket_types: Vec::new(),
        })
    }

    /// The event as published; `None` when it is already.
    pub fn publish(&self, now: Timestamp) -> Result<Option<Self>, NotPublishable> {
        match self.status {
            Status::Published => Ok(None),
            Status::Cancelled => Err(NotPublishable::Cancelled),
            Status::Archived => Err(NotPublishable::Archived),
            Status::Draft if self.ticket_types.is_empty() => Err(NotPublishable::NoTicketType),
            Status::Draft if self.details.ends_at <= now => Err(NotPublishable::Past),
            Status::Draft => Ok(Some(Self {
                status: Status::Published,
                version: self.version + 1,
                ..self.clone()
            })),
        }
    }

    /// The event as cancelled, for good; `None` when it is already. Also one that is over: it may not have taken place.
    pub fn cancel(&self) -> Result<Option<Self>, NotCancellable> {
        match self.status {
            Status::Cancelled => Ok(None),
            Status::Draft => Err(NotCancellable::Draft),
            Status::Archived => Err(NotCancellable::Archived),
            Status::Published => Ok(Some(Self {
                status: Status::Cancelled,
                version: self.version + 1,
                ..self.clone()
            })),
        }
    }

    /// The event with one ticket type more; `None` when it has the one with this id: the change happened before and
    /// only its answer was lost.
    pub fn add_ticket_type(
        &self,
        id: Uuid,
        terms: ticket_type::Terms,
    ) -> Result<Option<Self>, NotAdded> {
        if self.ticket_type(id).is_some() {
            return Ok(None);
        }
        if matches!(self.status, Status::Cancelled | Status::Archived) {
            return Err(NotAdded::Closed);
        }
        let terms = terms.checked_for(self).map_err(NotAdded::Invalid)?;
        let mut next = self.clone();
        next.version += 1;
        let at = next.ticket_types.partition_point(|other| other.id < id);
        next.ticket_types.insert(
            at,
            TicketType {
                id,
                terms,
                version: next.version,
            },
        );
        Ok(Some(next))
    }

    /// The ticket type with this id.
    pub fn ticket_type(&self, id: Uuid) -> Option<&TicketType> {
        self.ticket_types.iter().find(|known| known.id == id)
    }

    /// Whether everyone may see it: a draft is its owner's alone.
    pub fn is_public(&self) -> bool {
        self.status != Status::Draft
    }

    /// The one currency of its prices; none without a ticket type.
    pub fn currency(&self) -> Option<Currency> {
        self.ticket_types
            .first()
            .map(|first| first.terms.price.currency)
    }

    /// Most tickets that it can sell.
    pub fn room(&self) -> i64 {
        self.details.capacity.unwrap_or(MAX_CAPACITY)
    }

    /// Room that no ticket type has yet.
    pub fn unassigned_capacity(&self) -> i64 {
        let assigned: i64 = self
            .ticket_types
            .iter()
            .map(|known| known.terms.quantity)
            .sum();
        self.room() - assigned
    }
}

impl Details {
    fn checked(mut self, now: Timestamp) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        violations.line("/name", MAX_NAME_CHARS, &mut self.name);
        violations.line("/type", MAX_KIND_CHARS, &mut self.kind);
        violations.lines("/description", MAX_DESCRIPTION_CHARS, &mut self.description);
        violations.line("/venue/name", MAX_VENUE_CHARS, &mut self.venue.name);
        violations.line("/venue/city", MAX_VENUE_CHARS, &mut self.venue.city);
        violations.line("/venue/address", MAX_VENUE_CHARS, &mut self.venue.address);
        self.check_times(now, &mut violations);
        violations.require(
            self.capacity
                .is_none_or(|capacity| (1..=MAX_CAPACITY).contains(&capacity)),
            "/capacity",
            "range",
            format!("from 1 to {MAX_CAPACITY}"),
        );
        violations.require(
            self.image_url.as_deref().is_none_or(is_image_url),
            "/image_url",
            "invalid",
            format!(
                "an https:// address of a host, without user and password, of at most {MAX_IMAGE_URL_CHARS} visible ASCII characters"
            ),
        );
        violations.or(self)
    }

    fn check_times(&mut self, now: Timestamp, violations: &mut Violations) {
        // The precision of the database, so that what is answered now is what is read later.
        self.starts_at = Timestamp::from_millis(self.starts_at.as_millis());
        self.ends_at = Timestamp::from_millis(self.ends_at.as_millis());
        let latest = Timestamp::from_seconds((now + LATEST_START_AHEAD).as_seconds());
        violations.require(
            (EARLIEST_START..=latest).contains(&self.starts_at),
            "/starts_at",
            "range",
            format!("from {EARLIEST_START} to {latest}"),
        );
        if self.ends_at <= self.starts_at {
            violations.add("/ends_at", "order", "after starts_at");
        } else if self.ends_at.since(self.starts_at) > LONGEST {
            violations.add("/ends_at", "range", "at most 366 days after starts_at");
        }
        match known_zone(&self.time_zone) {
            Some(zone) => self.time_zone = zone,
            None => violations.add(
                "/time_zone",
                "unknown",
                "the name of an IANA time zone, such as Europe/Paris",
            ),
        }
    }
}

mod changes;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
