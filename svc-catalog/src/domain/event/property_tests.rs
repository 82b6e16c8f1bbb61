//! What holds for every event, whatever is asked for.

use platform::clock::Timestamp;
use platform::money::{Currency, Money};
use proptest::prelude::*;
use uuid::Uuid;

use super::samples::{END, NOW, details, terms};
use super::*;
use crate::domain::ticket_type::Terms;

fn drafted(change: impl FnOnce(&mut Details)) -> Result<Event, Violations> {
    let mut details = details();
    change(&mut details);
    Event::draft(Uuid::from_u128(7), Uuid::from_u128(8), details, NOW)
}

#[derive(Debug, Clone)]
enum Step {
    Add {
        id: u128,
        quantity: i64,
        amount: i64,
        euros: bool,
    },
    Publish {
        at: i64,
    },
    Cancel,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u128, -1..120_i64, -1..3_i64, proptest::bool::weighted(0.8))
            .prop_map(|(id, quantity, amount, euros)| Step::Add { id, quantity, amount, euros }),
        1 => (-10..10_i64).prop_map(|at| Step::Publish { at }),
        1 => Just(Step::Cancel),
    ]
}

proptest! {
    /// Whatever is asked for in whatever order: what is taken keeps the rules, what is refused changes nothing.
    #[test]
    fn no_sequence_of_changes_breaks_a_rule(
        capacity in proptest::option::of(1..400_i64),
        steps in proptest::collection::vec(step(), 0..40),
    ) {
        let mut event = drafted(|d| d.capacity = capacity).unwrap();
        for step in steps {
            let next = match step {
                Step::Add { id, quantity, amount, euros } => {
                    let currency = if euros { Currency::EUR } else { Currency::USD };
                    let terms = Terms { price: Money::new(amount, currency), ..terms(quantity) };
                    event.add_ticket_type(Uuid::from_u128(id), terms).ok().flatten()
                }
                Step::Publish { at } => {
                    let now = Timestamp::from_seconds(END.as_seconds() + at);
                    event.publish(now).ok().flatten()
                }
                Step::Cancel => event.cancel().ok().flatten(),
            };
            let Some(next) = next else { continue };
            prop_assert_eq!(next.version, event.version + 1);
            prop_assert_eq!(next.id, event.id);
            prop_assert_eq!(&next.details, &event.details);
            prop_assert!(next.unassigned_capacity() >= 0);
            prop_assert!(next.ticket_types.is_sorted_by(|a, b| a.id < b.id));
            for known in &next.ticket_types {
                prop_assert_eq!(Some(known.terms.price.currency), next.currency());
                prop_assert!(known.terms.quantity >= 1 && known.terms.price.amount >= 0);
                prop_assert!(known.version <= next.version);
            }
            prop_assert!(next.status != Status::Published || !next.ticket_types.is_empty());
            let goes_on_with = match event.status {
                Status::Draft => [Status::Draft, Status::Published],
                _ => [Status::Published, Status::Cancelled],
            };
            prop_assert!(goes_on_with.contains(&next.status));
            prop_assert_ne!(event.status, Status::Cancelled, "it takes no change");
            event = next;
        }
    }

    #[test]
    fn any_text_is_taken_or_refused(name in any::<String>(), zone in any::<String>(), url in any::<String>()) {
        if let Ok(event) = drafted(|d| {
            d.name = name;
            d.image_url = Some(url);
            d.time_zone.push_str(&zone);
        }) {
            let chars = event.details.name.chars().count();
            prop_assert!((1..=MAX_NAME_CHARS).contains(&chars));
            prop_assert_eq!(event.details.name.trim(), &event.details.name);
            prop_assert_eq!(event.details.time_zone, "Europe/Paris");
        }
    }
}
