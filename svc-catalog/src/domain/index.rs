//! Published events in the order of the list, and by what they are looked for.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::Excluded;

use platform::clock::Timestamp;
use roaring::RoaringBitmap;

use self::beginnings::Beginnings;
use super::event::Event;
use super::listing::{Filter, Listed, Part, Place, each_word_of, phrase};

mod beginnings;

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
        let in_order = self.numbers.range((Excluded(after), Excluded(before)));
        let mut found: Vec<Place> = match self.matching(&part.filter) {
            None => in_order.take(most).map(|(place, _)| *place).collect(),
            Some(wanted) if self.are_dense(&wanted, most) => in_order
                .filter(|(_, number)| wanted.contains(**number))
                .take(most)
                .map(|(place, _)| *place)
                .collect(),
            Some(wanted) => {
                let places = wanted.iter().map(|number| self.places[number as usize]);
                let mut places: Vec<Place> = places
                    .filter(|place| (after..before).contains(place) && *place != after)
                    .collect();
                if places.len() > most {
                    places.select_nth_unstable(most);
                    places.truncate(most);
                }
                places.sort_unstable();
                places
            }
        };
        let has_more = found.len() > part.limit;
        found.truncate(part.limit);
        Listed {
            next: found.last().copied().filter(|_| has_more),
            events: found.into_iter().map(|place| place.event_id).collect(),
        }
    }

    /// Going through the list until there are enough looks at about `len / wanted` events for each that it finds, and
    /// going through those that are wanted looks at all of them.
    fn are_dense(&self, wanted: &RoaringBitmap, most: usize) -> bool {
        let wanted = wanted.len();
        wanted * wanted > most as u64 * self.len() as u64
    }

    /// The numbers of those that pass; `None`: all do.
    fn matching(&self, filter: &Filter) -> Option<RoaringBitmap> {
        let named = |names: &HashMap<String, RoaringBitmap>, name: &Option<String>| {
            let name = name.as_ref()?;
            Some(names.get(name).cloned().unwrap_or_default())
        };
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
        .reduce(|passed, also| passed & also)
    }
}

#[cfg(test)]
mod tests;
