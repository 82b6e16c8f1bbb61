use std::collections::BTreeMap;

use platform::clock::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::event::samples::{START, draft};
use crate::domain::words::words;

const NAMES: [&str; 4] = ["Été à Lyon", "Jazz", "Jazz brunch", "東京 ete"];
const KINDS: [&str; 2] = ["Concert", "théâtre"];
const CITIES: [&str; 3] = ["Lyon", "Saint-Étienne", "saint etienne"];

fn event(id: u128, hour: i64, name: &str, kind: &str, city: &str) -> Event {
    let mut event = draft();
    event.id = Uuid::from_u128(id);
    event.details.starts_at = Timestamp::from_seconds(START.as_seconds() + hour * 3_600);
    event.details.name = name.to_owned();
    event.details.kind = kind.to_owned();
    event.details.venue.city = city.to_owned();
    event
}

fn filter(kind: Option<&str>, city: Option<&str>, search: Option<&str>) -> Filter {
    let [kind, city, search] = [kind, city, search].map(|text| text.map(str::to_owned));
    Filter::new(kind, city, search).expect("a filter")
}

fn all(filter: Filter) -> Part {
    Part {
        after: Place::before(START),
        until: Timestamp::MAX,
        filter,
        limit: 50,
    }
}

fn ids(index: &Index, part: &Part) -> Vec<u128> {
    let listed = index.list(part);
    listed.events.iter().map(|id| id.as_u128()).collect()
}

#[test]
fn filters_fold_and_add_up() {
    let mut index = Index::default();
    let spring = event(1, 1, "Spring concert", "Concert", "Lyon");
    let night = event(2, 2, "Nuit d'Été", "théâtre", "Saint-Étienne");
    index.insert(&night);
    index.insert(&spring);
    for (kind, city, search, expected) in [
        (None, None, None, &[1, 2][..]),
        (Some("CONCERT"), Some(" lyon "), None, &[1]),
        (Some("theatre"), None, None, &[2]),
        (Some("opera"), None, None, &[]),
        (None, Some("SAINT ETIENNE"), None, &[2]),
        (None, Some("Saint"), None, &[]),
        (None, None, Some("spring BRASS"), &[1]),
        (None, None, Some("brass ete"), &[2]),
        (None, None, Some("spr étien"), &[]),
        (None, None, Some("old mil"), &[1, 2]),
        (None, None, Some("pring"), &[]),
        (Some("concert"), Some("Lyon"), Some("mill"), &[1]),
        (Some("théâtre"), Some("Lyon"), Some("mill"), &[]),
    ] {
        let part = all(filter(kind, city, search));
        assert_eq!(ids(&index, &part), expected, "{part:?}");
    }
}

#[test]
fn an_event_that_moved_is_found_as_it_is_now() {
    let mut index = Index::default();
    let (before, after) = (
        event(1, 1, "Brunch", "Concert", "Lyon"),
        event(1, 9, "Dinner", "Concert", "Paris"),
    );
    let other = event(2, 5, "Brunch", "Concert", "Lyon");
    index.insert(&before);
    index.insert(&other);
    index.remove(&before);
    index.insert(&after);
    assert_eq!(ids(&index, &all(Filter::default())), [2, 1]);
    assert_eq!(ids(&index, &all(filter(None, None, Some("brunch")))), [2]);
    assert_eq!(ids(&index, &all(filter(None, Some("paris"), None))), [1]);
    index.remove(&after);
    index.remove(&other);
    index.remove(&other);
    assert!(index.is_empty());
    assert!(
        index.words.is_empty() && index.kinds.is_empty() && index.cities.is_empty(),
        "nothing is kept of events that are gone"
    );
}

#[test]
fn nothing_lies_between_a_place_and_an_earlier_one() {
    let mut index = Index::default();
    index.insert(&event(1, 1, "Jazz", "Concert", "Lyon"));
    for until in [START, Timestamp::from_seconds(START.as_seconds() - 1)] {
        let part = Part {
            until,
            ..all(Filter::default())
        };
        assert!(ids(&index, &part).is_empty());
    }
}

#[test]
fn a_place_is_as_good_as_the_one_that_is_known_before_it() {
    let mut index = Index::default();
    let (first, second) = (
        event(1, 1, "Jazz", "Concert", "Lyon"),
        event(2, 2, "Jazz", "Concert", "Lyon"),
    );
    index.insert(&first);
    index.insert(&second);
    let at = |hour| Place::before(event(1, hour, "", "", "").details.starts_at);
    let nowhere = Place::before(Timestamp::MIN);
    for (place, known) in [
        (at(1), nowhere),
        (Place::of(&first), Place::of(&first)),
        (at(2), Place::of(&first)),
        (at(9), Place::of(&second)),
    ] {
        assert_eq!(index.place_up_to(place), known);
    }
}

/// What the list is, said as plainly as can be.
fn listed(events: &BTreeMap<u128, Event>, part: &Part) -> Vec<u128> {
    let passes = |event: &&Event| {
        let place = Place::of(event);
        let details = &event.details;
        let mut words_of = Vec::new();
        each_word_of(event, |word| words_of.push(word.to_owned()));
        let has = |beginning: &String| words_of.iter().any(|word| word.starts_with(beginning));
        let is = |wanted: &Option<String>, name: &str| {
            wanted
                .as_ref()
                .is_none_or(|wanted| *wanted == words(name).join(" "))
        };
        place > part.after
            && place.starts_at < part.until
            && is(&part.filter.kind, &details.kind)
            && is(&part.filter.city, &details.venue.city)
            && part.filter.beginnings.iter().all(has)
    };
    let mut places: Vec<Place> = events.values().filter(passes).map(Place::of).collect();
    places.sort();
    places
        .iter()
        .map(|place| place.event_id.as_u128())
        .collect()
}

type Change = (u128, i64, usize, usize, usize, bool);

proptest! {
    /// Whatever came, moved and went: the pages together are the list, none longer than asked for.
    #[test]
    fn the_pages_are_the_list(
        changes in prop::collection::vec((1..40_u128, 0..6_i64, 0..4_usize, 0..2_usize, 0..3_usize, any::<bool>()), 0..120),
        kind in prop::option::of(0..2_usize),
        city in prop::option::of(0..3_usize),
        search in prop::option::of(prop::sample::select(vec!["ete", "j", "ja", "JAZZ br", "京", "o", "x"])),
        limit in 1..9_usize,
        until in 0..8_i64,
    ) {
        let (mut index, mut events) = (Index::default(), BTreeMap::new());
        for (id, hour, name, kind, city, is_gone) in changes as Vec<Change> {
            if let Some(before) = events.remove(&id) {
                index.remove(&before);
            }
            if !is_gone {
                let event = event(id, hour, NAMES[name], KINDS[kind], CITIES[city]);
                index.insert(&event);
                events.insert(id, event);
            }
        }
        let mut part = all(filter(kind.map(|n| KINDS[n]), city.map(|n| CITIES[n]), search));
        part.limit = limit;
        part.until = Timestamp::from_seconds(START.as_seconds() + until * 3_600);
        let expected = listed(&events, &part);
        prop_assert_eq!(index.len(), events.len());
        let mut found = Vec::new();
        loop {
            let page = index.list(&part);
            prop_assert!(page.events.len() <= limit);
            let after = index.place_up_to(part.after);
            prop_assert_eq!(&index.list(&Part { after, ..part.clone() }), &page);
            found.extend(page.events.iter().map(|id| id.as_u128()));
            match page.next {
                Some(next) => part.after = next,
                None => break,
            }
        }
        prop_assert_eq!(found, expected);
    }
}
