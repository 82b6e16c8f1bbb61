//! Many events, put onto `catalog.events` as svc-catalog would after it had written their rows. Their rows are not there:
//! what is measured does not read them.

use anyhow::Context as _;
use e2e::Stack;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::avro::{Encoder, Registry};
use platform::clock::Timestamp;
use platform::ids::derived_id;
use platform::kafka::headers::RecordHeaders;
use platform::kafka::producer::Producer;
use schemas::catalog::{EventSnapshot, EventStatus, TicketType, Venue};
use schemas::topics::{CATALOG_EVENTS, Partitions};
use schemas::{Money, Record as _};
use uuid::Uuid;

/// Different words in all texts together.
const WORDS: u64 = 20_000;
const CITIES: u64 = 300;
const KINDS: [&str; 6] = [
    "concert", "theatre", "sport", "festival", "talk", "workshop",
];
/// About 500 characters.
const DESCRIPTION_WORDS: u64 = 70;
const SYLLABLES: [&str; 16] = [
    "ba", "cor", "dé", "fi", "gu", "hal", "jo", "ki", "lu", "mar", "no", "pé", "ri", "sol", "tan",
    "ve",
];
const HOUR_US: i64 = 3_600_000_000;
/// Events begin within this many hours from now: a year.
const HOURS: u64 = 365 * 24;
const AT_ONCE: usize = 2_000;

/// The words of the events, of which few are frequent and most are rare, as in any language.
pub(crate) struct Vocabulary {
    words: Vec<String>,
}

impl Default for Vocabulary {
    fn default() -> Self {
        let word = |number: u64| {
            let syllable = |place: u32| SYLLABLES[(number / 16_u64.pow(place) % 16) as usize];
            (0..4).map(syllable).collect()
        };
        Self {
            words: (0..WORDS).map(word).collect(),
        }
    }
}

impl Vocabulary {
    /// The word at this place of frequency, from 0.
    pub(crate) fn word(&self, place: u64) -> &str {
        &self.words[(place % WORDS) as usize]
    }

    /// The product of two shares: small numbers are drawn far more often than large ones.
    fn draw(&self, chance: &mut Chance) -> &str {
        self.word(chance.below(WORDS) * chance.below(WORDS) / WORDS)
    }

    fn text(&self, chance: &mut Chance, words: u64) -> String {
        let words: Vec<&str> = (0..words).map(|_| self.draw(chance)).collect();
        words.join(" ")
    }

    /// One of the cities.
    pub(crate) fn city(&self, number: u64) -> String {
        format!(
            "{} sur {}",
            self.word(number % CITIES),
            self.word(7 * (number % CITIES))
        )
    }

    fn event(&self, number: u32) -> EventSnapshot {
        let event_id = derived_id(Uuid::nil(), &["bench", &number.to_string()]);
        let mut chance = Chance(u64::from(number) + 1);
        let starts_at =
            Timestamp::now().as_micros() + HOUR_US * (1 + chance.below(HOURS)).cast_signed();
        EventSnapshot {
            event_id,
            version: 4,
            name: self.text(&mut chance, 4),
            kind: KINDS[chance.below(KINDS.len() as u64) as usize].to_owned(),
            description: self.text(&mut chance, DESCRIPTION_WORDS),
            venue: Venue {
                name: self.text(&mut chance, 2),
                city: self.city(chance.below(CITIES)),
                address: self.text(&mut chance, 3),
            },
            starts_at,
            ends_at: starts_at + 3 * HOUR_US,
            time_zone: "Europe/Paris".to_owned(),
            status: EventStatus::Published,
            organizer_id: Uuid::from_u128(1),
            capacity: None,
            image_url: Some(format!("https://images.example.com/{event_id}.jpg")),
            ticket_types: Some(vec![
                ticket_type(event_id, "general"),
                ticket_type(event_id, "vip"),
            ]),
            attendance_releases_seat: None,
        }
    }
}

fn ticket_type(event_id: Uuid, kind: &str) -> TicketType {
    TicketType {
        ticket_type_id: derived_id(event_id, &[kind]),
        name: kind.to_owned(),
        kind: kind.to_owned(),
        price: Money {
            amount: 2_500,
            currency: "EUR".to_owned(),
        },
        quantity: 500,
        max_per_buyer: Some(8),
        sale_starts_at: None,
        sale_ends_at: None,
        version: 2,
    }
}

/// The same events every time: xorshift, seeded with the number of the event.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        for shift in [13_i32, -7, 17] {
            self.0 ^= match shift {
                1.. => self.0 << shift,
                _ => self.0 >> -shift,
            };
        }
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

/// Puts this many events onto the topic.
pub(crate) async fn fill(stack: &Stack, vocabulary: &Vocabulary, count: u32) -> anyhow::Result<()> {
    let registry = Registry::new(&stack.schema_registry_url)?;
    let encoder: Encoder<EventSnapshot> = registry.register().await?;
    let producer = Producer::new(&stack.kafka_brokers, "bench-catalog")?;
    let Partitions::ByKey(partitions) = CATALOG_EVENTS.partitions else {
        anyhow::bail!("catalog.events is partitioned by key");
    };
    stream::iter(0..count)
        .map(|number| {
            let event = vocabulary.event(number);
            let (bytes, producer) = (encoder.encode(&event), &producer);
            async move {
                let headers = RecordHeaders {
                    id: derived_id(event.event_id, &["snapshot"]),
                    record_name: EventSnapshot::NAME,
                    source: "/bench",
                    subject: &event.event_id.to_string(),
                    time: Timestamp::now(),
                    traceparent: None,
                };
                let headers = headers.to_owned_headers();
                producer
                    .send(
                        EventSnapshot::TOPIC,
                        partitions,
                        event.event_id,
                        headers,
                        Some(&bytes),
                    )
                    .await
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_for_each(|()| async { Ok(()) })
        .await
        .context("fill catalog.events")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_differ_and_few_are_frequent() {
        let vocabulary = Vocabulary::default();
        let different: BTreeSet<&String> = vocabulary.words.iter().collect();
        assert_eq!(different.len() as u64, WORDS);
        let mut chance = Chance(1);
        let first_tenth = (0..10_000)
            .map(|_| vocabulary.draw(&mut chance).to_owned())
            .filter(|word| vocabulary.words[..2_000].contains(word))
            .count();
        assert!((3_000..4_000).contains(&first_tenth), "{first_tenth}");
    }
}
