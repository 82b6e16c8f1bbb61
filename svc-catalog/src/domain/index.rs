//! Published events in the order of the list, and by what they are looked for.

use std::borrow::Cow;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::ops::Bound::Excluded;

use platform::clock::Timestamp;
use roaring::RoaringBitmap;

use self::beginnings::Beginnings;
use super::event::Event;
use super::listing::{Filter, Listed, Part, Place, each_word_of, phrase};

mod beginnings;

/// A step through the list costs as much as so many looks at events that are wanted: it has to find out whether it
/// is at one of them.
const STEP_COST: u64 = 4;

/// Finds events. Every event has a number, and by every word lies the set of the numbers that have it: what a filter
/// wants is then a few operations on sets of bits, however few or many events pass it.
#[derive(Default)]
pub struct Index {
    /// The list.
    numbers: BTreeMap<Place, u32>,
    /// The place of every number.
    places: Vec<Place>,
    /// Numbers of events that are gone, for events to come.
    free: Vec<u32>,
    kinds: HashMap<String, RoaringBitmap>,
    cities: HashMap<String, RoaringBitmap>,
    words: Beginnings,
}

impl Index {
    /// Nothing is looked for until it is [`filled`](Self::filled), so that many events are taken in for less.
    pub fn filling() -> Self {
        Self {
            words: Beginnings::filling(),
            ..Self::default()
        }
    }

    /// From now on everything is found.
    pub fn filled(&mut self) {
        self.words.filled();
    }

    /// Takes an event in that is not in.
    pub fn insert(&mut self, event: &Event) {
        let place = Place::of(event);
        let number = match self.free.pop() {
            Some(number) => {
                self.places[number as usize] = place;
                number
            }
            None => {
                self.places.push(place);
                u32::try_from(self.places.len() - 1).expect("fewer than 2³² events")
            }
        };
        self.numbers.insert(place, number);
        let details = &event.details;
        let kind = self.kinds.entry(phrase(&details.kind)).or_default();
        kind.insert(number);
        let city = self.cities.entry(phrase(&details.venue.city)).or_default();
        city.insert(number);
        each_word_of(event, |word| self.words.insert(word, number));
    }

    /// Takes an event out, which must be as it was taken in.
    pub fn remove(&mut self, event: &Event) {
        let Some(number) = self.numbers.remove(&Place::of(event)) else {
            return;
        };
        self.free.push(number);
        let details = &event.details;
        for (names, name) in [
            (&mut self.kinds, phrase(&details.kind)),
            (&mut self.cities, phrase(&details.venue.city)),
        ] {
            if let Some(numbers) = names.get_mut(&name) {
                numbers.remove(number);
                if numbers.is_empty() {
                    names.remove(&name);
                }
            }
        }
        each_word_of(event, |word| self.words.remove(word, number));
    }

    /// Events in it.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is none in it.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The last place of the list up to this one, or one before all of them: the same events are behind both.
    pub fn place_up_to(&self, place: Place) -> Place {
        let known = self.numbers.range(..=place).next_back();
        known.map_or(Place::before(Timestamp::MIN), |(known, _)| *known)
    }

    /// That part of the list.
    pub fn list(&self, part: &Part) -> Listed {
        let (after, before) = (part.after, Place::before(part.until));
        if after >= before {
            return Listed {
                events: Vec::new(),
                next: None,
            };
        }
        // One more than wanted tells whether there is more.
        let most = part.limit + 1;
        let mut found = match self.matching(&part.filter) {
            None => self.in_order(after, before).take(most).collect(),
            Some(wanted) => self
                .by_going_through(&wanted, after, before, most)
                .unwrap_or_else(|| self.by_gathering(&wanted, after, before, most)),
        };
        let has_more = found.len() > part.limit;
        found.truncate(part.limit);
        Listed {
            next: found.last().copied().filter(|_| has_more),
            events: found.into_iter().map(|place| place.event_id).collect(),
        }
    }

    fn in_order(&self, after: Place, before: Place) -> impl Iterator<Item = Place> {
        let part = self.numbers.range((Excluded(after), Excluded(before)));
        part.map(|(place, _)| *place)
    }

    /// The first of those that are wanted, by a walk through the list. `None`: they lie so far apart that it would take
    /// longer than to gather them all.
    fn by_going_through(
        &self,
        wanted: &RoaringBitmap,
        after: Place,
        before: Place,
        most: usize,
    ) -> Option<Vec<Place>> {
        let mut steps = wanted.len() / STEP_COST;
        let mut found = Vec::with_capacity(most);
        for (place, number) in self.numbers.range((Excluded(after), Excluded(before))) {
            steps = steps.checked_sub(1)?;
            if wanted.contains(*number) {
                found.push(*place);
                if found.len() == most {
                    break;
                }
            }
        }
        Some(found)
    }

    /// The first of those that are wanted, by a look at each of them.
    fn by_gathering(
        &self,
        wanted: &RoaringBitmap,
        after: Place,
        before: Place,
        most: usize,
    ) -> Vec<Place> {
        let places = wanted.iter().map(|number| self.places[number as usize]);
        let mut first = BinaryHeap::with_capacity(most);
        for place in places.filter(|place| *place > after && *place < before) {
            if first.len() < most {
                first.push(place);
            } else if let Some(mut last) = first.peek_mut()
                && place < *last
            {
                *last = place;
            }
        }
        first.into_sorted_vec()
    }

    /// The numbers of those that pass; `None`: all do.
    fn matching(&self, filter: &Filter) -> Option<Cow<'_, RoaringBitmap>> {
        let words = filter
            .beginnings
            .iter()
            .map(|word| self.words.numbers(word));
        [
            named(&self.kinds, &filter.kind),
            named(&self.cities, &filter.city),
        ]
        .into_iter()
        .flatten()
        .chain(words)
        .reduce(|passed, also| Cow::Owned(&*passed & &*also))
    }
}

/// The numbers that have this name, if one is wanted.
fn named<'a>(
    names: &'a HashMap<String, RoaringBitmap>,
    name: &Option<String>,
) -> Option<Cow<'a, RoaringBitmap>> {
    let numbers = names.get(name.as_ref()?);
    Some(numbers.map_or_else(Cow::default, Cow::Borrowed))
}

#[cfg(test)]
mod tests;
