//! The list of published events: its order, its places and its filters.

use platform::clock::Timestamp;
use platform::text::is_invisible;
use uuid::Uuid;

use super::event::{Event, MAX_KIND_CHARS, MAX_VENUE_CHARS};
use super::rule::Violations;
use super::words::{each_word, words};

/// Longest text to look for, in characters.
pub const MAX_SEARCH_CHARS: usize = 100;

/// A place in the list: soonest first, events that start together in the order of their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
}

/// Which events are wanted. Neither case nor accents count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    /// Their type as [`phrase`] writes it.
    pub(super) kind: Option<String>,
    /// Their city as [`phrase`] writes it.
    pub(super) city: Option<String>,
    /// Beginnings of words, each of which they have.
    pub(super) beginnings: Vec<String>,
}

impl Filter {
    /// Events of type `kind`, in `city`, with all words of `search`, or longer ones that begin so, in their name, type,
    /// place or description.
    pub fn new(
        kind: Option<String>,
        city: Option<String>,
        search: Option<String>,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let mut checked = |field, max_chars, text: Option<String>| {
            text.map(|mut text| {
                violations.line(field, max_chars, &mut text);
                text
            })
        };
        let kind = checked("?type", MAX_KIND_CHARS, kind);
        let city = checked("?city", MAX_VENUE_CHARS, city);
        let search = checked("?q", MAX_SEARCH_CHARS, search);
        let beginnings = search.as_deref().map(words).unwrap_or_default();
        violations.require(
            // An empty text is named above.
            !beginnings.is_empty() || search.as_deref().is_none_or(is_invisible),
            "?q",
            "text",
            "at least one letter or digit",
        );
        violations.or(Self {
            kind: kind.as_deref().map(phrase),
            city: city.as_deref().map(phrase),
            beginnings: without_repetition(beginnings),
        })
    }
}

/// The same search, however it was typed: in order, and without what another word says as well. Who has a word that begins
/// with `jazz` has one that begins with `ja`.
fn without_repetition(mut beginnings: Vec<String>) -> Vec<String> {
    beginnings.sort_unstable();
    beginnings.dedup_by(|longer, kept| {
        let says_it_all = longer.starts_with(&**kept);
        if says_it_all {
            std::mem::swap(longer, kept);
        }
        says_it_all
    });
    beginnings
}

/// A name as it is compared as a whole: `Saint-Étienne` and `saint  etienne` are the same. One without a letter or digit is as
/// it was written: 🎸 is not 🎻.
pub(super) fn phrase(name: &str) -> String {
    match words(name).join(" ") {
        folded if folded.is_empty() => name.trim().to_owned(),
        folded => folded,
    }
}

/// Hands over the words by which `event` is found; some come more than once.
pub(super) fn each_word_of(event: &Event, mut take: impl FnMut(&str)) {
    let details = &event.details;
    for text in [
        &details.name,
        &details.kind,
        &details.venue.name,
        &details.venue.city,
        &details.description,
    ] {
        each_word(text, &mut take);
    }
}

/// Which part of the list is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// Only events behind this place.
    pub after: Place,
    /// Only events that start before this.
    pub until: Timestamp,
    /// Only these.
    pub filter: Filter,
    /// Most events.
    pub limit: usize,
}

/// A part of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Ids, soonest first.
    pub events: Vec<Uuid>,
    /// The place to go on behind; none at the end of the list.
    pub next: Option<Place>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::samples::{START, draft};

    #[test]
    fn a_place_is_behind_its_time_and_before_the_next() {
        let place = Place::of(&draft());
        assert_eq!(place.starts_at, START);
        assert!(Place::before(START) < place);
        assert!(place < Place::before(Timestamp::from_millis(START.as_millis() + 1)));
    }

    #[test]
    fn one_search_is_the_same_however_it_is_typed() {
        let search = |text: &str| Filter::new(None, None, Some(text.to_owned())).unwrap();
        let jazz = search("Lyon jazz");
        for same in [
            "jazz  LYON",
            "lyon jazz Lyon",
            "j ja jazz ly lyon",
            "Jazz-Lyon!",
        ] {
            assert_eq!(search(same), jazz, "{same}");
        }
        for other in ["jazz", "lyo jazz", "jazzy lyon"] {
            assert_ne!(search(other), jazz, "{other}");
        }
        assert_eq!(search("a ab b").beginnings, ["ab", "b"]);
    }

    #[test]
    fn names_are_compared_as_people_read_them() {
        for (one, same) in [("Saint-Étienne", "saint  etienne"), (" 🎸", "🎸 ")] {
            assert_eq!(phrase(one), phrase(same));
        }
        for (one, other) in [("🎸", "🎻"), ("??", "!!!"), ("Rock", "Rock 2")] {
            assert_ne!(phrase(one), phrase(other));
        }
    }

    #[test]
    fn every_wrong_filter_is_named() {
        let long = "x".repeat(MAX_VENUE_CHARS + 1);
        let fields = |kind: &str, city: &str, search: &str| -> Vec<_> {
            let [kind, city, search] = [kind, city, search].map(|text| Some(text.to_owned()));
            let refused = Filter::new(kind, city, search).unwrap_err();
            refused
                .iter()
                .map(|violation| (violation.field, violation.code))
                .collect()
        };
        assert_eq!(
            fields("concert", &long, &long),
            [("?city", "length"), ("?q", "length")]
        );
        assert_eq!(fields("a\0", "Lyon", "jazz"), [("?type", "text")]);
        assert_eq!(fields("concert", "Lyon", "?!"), [("?q", "text")]);
    }
}
