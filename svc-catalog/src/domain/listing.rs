//! The list of published events: its order, its places and its filters.

use jiff::tz::Offset;
use platform::clock::Timestamp;
use uuid::Uuid;

use super::event::{Event, MAX_KIND_CHARS, MAX_VENUE_CHARS};
use super::rule::Violations;

/// Longest text to look for, in characters.
pub const MAX_SEARCH_CHARS: usize = 100;

/// A place in the list: soonest first, events that start together in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Start of the event at this place.
    pub starts_at: Timestamp,
    /// Its id.
    pub event_id: Uuid,
}

impl Place {
    /// Before every event that starts at `at` or later, and behind every other one: no event has the nil id.
    pub fn before(at: Timestamp) -> Self {
        Self {
            starts_at: at,
            event_id: Uuid::nil(),
        }
    }

    /// The place of `event`.
    pub fn of(event: &Event) -> Self {
        Self {
            starts_at: event.details.starts_at,
            event_id: event.id,
        }
    }

    /// The month of UTC that the place is in, as 202605: year and month.
    pub fn month(self) -> i32 {
        // The last day that jiff knows is the one before the last that a `Timestamp` can have: in the same month.
        let at = jiff::Timestamp::from_millisecond(self.starts_at.as_millis());
        let date = Offset::UTC
            .to_datetime(at.unwrap_or(jiff::Timestamp::MAX))
            .date();
        i32::from(date.year()) * 100 + i32::from(date.month())
    }
}

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    kind: Option<String>,
    city: Option<String>,
    words: Vec<String>,
}

impl Filter {
    /// Events of type `kind`, in `city`, with all words of `search` in their name, type, place or description. Capital
    /// and small letters are the same.
    pub fn new(
        kind: Option<String>,
        city: Option<String>,
        search: Option<&str>,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let mut folded = |field, max_chars, text: Option<String>| {
            text.map(|mut text| {
                violations.line(field, max_chars, &mut text);
                text.to_lowercase()
            })
        };
        let kind = folded("?type", MAX_KIND_CHARS, kind);
        let city = folded("?city", MAX_VENUE_CHARS, city);
        let search = folded("?q", MAX_SEARCH_CHARS, search.map(str::to_owned));
        let words = search.unwrap_or_default();
        violations.or(Self {
            kind,
            city,
            words: words.split_whitespace().map(str::to_owned).collect(),
        })
    }

    /// Whether it lets every event through.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether `event` is wanted.
    pub fn matches(&self, event: &Event) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| *wanted == found.to_lowercase())
        };
        let details = &event.details;
        is(&self.kind, &details.kind)
            && is(&self.city, &details.venue.city)
            && (self.words.is_empty() || self.has_words(event))
    }

    fn has_words(&self, event: &Event) -> bool {
        let details = &event.details;
        let text = [
            details.name.as_str(),
            &details.kind,
            &details.venue.name,
            &details.venue.city,
            &details.description,
        ]
        .join("\n")
        .to_lowercase();
        self.words.iter().all(|word| text.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::samples::{START, draft};
    use proptest::prelude::*;

    fn filter(kind: Option<&str>, city: Option<&str>, search: Option<&str>) -> Filter {
        Filter::new(kind.map(str::to_owned), city.map(str::to_owned), search).unwrap()
    }

    #[test]
    fn months_are_those_of_utc() {
        for (at, month) in [
            ("2026-05-01T00:00:00Z", 202_605),
            ("2026-04-30T23:59:59.999Z", 202_604),
            ("2026-05-01T01:00:00+02:00", 202_604),
            ("2026-12-31T23:59:59Z", 202_612),
            ("9999-12-31T23:59:59.999999Z", 999_912),
        ] {
            assert_eq!(
                Place::before(Timestamp::parse(at).unwrap()).month(),
                month,
                "{at}"
            );
        }
        assert_eq!(Place::of(&draft()).month(), 202_605);
        assert_eq!(Place::of(&draft()).starts_at, START);
    }

    #[test]
    fn filters_ignore_case_and_add_up() {
        let event = draft();
        for (kind, city, search, expected) in [
            (None, None, None, true),
            (Some("CONCERT"), Some(" lyon "), None, true),
            (Some("theatre"), None, None, false),
            (None, Some("Ly"), None, false),
            (None, None, Some("spring BRASS"), true),
            (None, None, Some("spring jazz"), false),
            (Some("concert"), None, Some("mill"), true),
            (Some("theatre"), None, Some("mill"), false),
        ] {
            let filter = filter(kind, city, search);
            assert_eq!(filter.matches(&event), expected, "{filter:?}");
        }
        assert!(filter(None, None, None).is_open() && !filter(None, None, Some("a")).is_open());
    }

    #[test]
    fn every_wrong_filter_is_named() {
        let long = "x".repeat(MAX_VENUE_CHARS + 1);
        let refused =
            Filter::new(Some(String::new()), Some(long.clone()), Some(&long)).unwrap_err();
        let fields: Vec<_> = refused.iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["?type", "?city", "?q"]);
    }

    proptest! {
        /// The list goes through the months in the order of their numbers.
        #[test]
        fn months_follow_time(a in any::<i64>(), b in any::<i64>()) {
            let [a, b] = [a, b].map(|micros| Place::before(Timestamp::from_micros(micros)));
            if a.starts_at <= b.starts_at {
                prop_assert!(a.month() <= b.month());
            }
        }
    }
}
