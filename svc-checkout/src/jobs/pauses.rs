//! When to try again what a provider has not brought to its end.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// The longest pause. A provider that is away for an hour is noticed half a minute after it is back.
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses by payment: each failure doubles the next one.
#[derive(Default)]
pub(super) struct Pauses {
    by_payment: HashMap<Uuid, (Instant, Duration)>,
}

impl Pauses {
    /// Those of `listed` whose turn it is. What is no longer listed is forgotten.
    pub(super) fn due<T>(
        &mut self,
        listed: Vec<T>,
        id: impl Fn(&T) -> Uuid,
        now: Instant,
    ) -> Vec<T> {
        let mut kept = HashMap::new();
        let mut due = Vec::new();
        for item in listed {
            let known = self.by_payment.remove(&id(&item));
            if let Some(pause) = known {
                kept.insert(id(&item), pause);
            }
            if known.is_none_or(|(until, _)| until <= now) {
                due.push(item);
            }
        }
        self.by_payment = kept;
        due
    }

    /// It was asked and did not answer: next time after `first`, then twice as long, and so on.
    pub(super) fn failed(&mut self, id: Uuid, first: Duration, now: Instant) {
        let pause = match self.by_payment.get(&id) {
            Some((_, last)) => (*last * 2).min(LONGEST),
            None => first,
        };
        self.by_payment.insert(id, (now + pause, pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_their_payment() {
        let (first, id) = (Duration::from_secs(1), Uuid::from_u128(1));
        let mut pauses = Pauses::default();
        let mut now = Instant::now();
        let mut waited = Vec::new();
        for _ in 0..7 {
            assert_eq!(pauses.due(vec![id], |id| *id, now), [id]);
            pauses.failed(id, first, now);
            assert!(pauses.due(vec![id], |id| *id, now).is_empty());
            let began = now;
            while pauses.due(vec![id], |id| *id, now).is_empty() {
                now += Duration::from_secs(1);
            }
            waited.push((now - began).as_secs());
        }
        assert_eq!(waited, [1, 2, 4, 8, 16, 30, 30]);
        pauses.failed(id, first, now);
        assert!(pauses.due(Vec::new(), |id: &Uuid| *id, now).is_empty());
        assert_eq!(
            pauses.due(vec![id], |id| *id, now),
            [id],
            "as if it were new"
        );
    }
}
