//! How many messages are on their way at a time: what the database can give without keeping the sale waiting.
//!
//! A mail that comes a minute later does no harm, and a sale that is slower by a third does. Both ask one database, so
//! mails take what is left over, as LEDBAT (RFC 6817) has background transfers take what is left over of a network:
//! whoever finds that an answer takes longer than it could asks for less.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An answer that is this much later than it could be has waited for others. Chosen, not measured; LEDBAT's is 100 ms at
/// most, between two ends of the world.
const TARGET: Duration = Duration::from_millis(10);
/// How long the fastest answer counts as what the database can: it becomes slower with its data, and it moves.
const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);

/// Hands out turns. One is always there: mails never stop.
pub struct Pace {
    turns: Arc<Semaphore>,
    most: usize,
    state: Mutex<State>,
}

/// A message is on its way as long as this is kept.
pub struct Turn {
    pace: Arc<Pace>,
    permit: Option<OwnedSemaphorePermit>,
}

struct State {
    /// Turns that there should be, with a fraction: from 1 to `most`.
    wanted: f64,
    /// Turns that exist, free ones and those in hand.
    exist: usize,
    fastest: Fastest,
}

impl Pace {
    /// `most` turns at a time, and at least one.
    pub fn new(most: usize) -> Arc<Self> {
        let most = most.max(1);
        Arc::new(Self {
            turns: Arc::new(Semaphore::new(most)),
            most,
            state: Mutex::new(State {
                wanted: as_f64(most),
                exist: most,
                fastest: Fastest::new(Instant::now()),
            }),
        })
    }

    /// Waits for a turn, in the order of those who ask.
    pub async fn turn(self: &Arc<Self>) -> Turn {
        // There is none to wait for when nobody bounds them any more.
        let permit = Arc::clone(&self.turns).acquire_owned().await.ok();
        Turn {
            pace: Arc::clone(self),
            permit,
        }
    }

    /// Awaits a request to the database, one that is always of the same kind, and takes its time for what the database
    /// has to give.
    pub async fn watch<T>(&self, request: impl Future<Output = T>) -> T {
        let asked = Instant::now();
        let answer = request.await;
        let now = Instant::now();
        self.took(now - asked, now);
        answer
    }

    fn took(&self, time: Duration, now: Instant) {
        let mut state = self.lock();
        let late = time.saturating_sub(state.fastest.with(time, now));
        // +1 for an answer without delay, -1 for one that is late twice over; a turn more or less for a round of all.
        let share = (1.0 - late.as_secs_f64() / TARGET.as_secs_f64()).max(-1.0);
        state.wanted = (state.wanted + share / state.wanted).clamp(1.0, as_f64(self.most));
        metrics::gauge!("mailer_mails_at_once").set(state.wanted);
        while as_f64(state.exist + 1) <= state.wanted {
            state.exist += 1;
            self.turns.add_permits(1);
        }
    }

    fn give_back(&self, permit: OwnedSemaphorePermit) {
        let mut state = self.lock();
        if as_f64(state.exist) > state.wanted.floor() {
            state.exist -= 1;
            permit.forget();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.pace.give_back(permit);
        }
    }
}

/// The fastest answer of this period and of the one before.
struct Fastest {
    since: Instant,
    now: Duration,
    before: Duration,
}

impl Fastest {
    const fn new(now: Instant) -> Self {
        Self {
            since: now,
            now: Duration::MAX,
            before: Duration::MAX,
        }
    }

    /// The fastest, with this answer.
    fn with(&mut self, time: Duration, now: Instant) -> Duration {
        if now - self.since >= REMEMBERED_FOR / 2 {
            (self.since, self.before, self.now) = (now, self.now, Duration::MAX);
        }
        self.now = self.now.min(time);
        self.now.min(self.before)
    }
}

/// Exact: turns are few.
fn as_f64(turns: usize) -> f64 {
    u32::try_from(turns).map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(1);
    const SLOW: Duration = Duration::from_millis(50);

    fn after(pace: &Pace, answers: usize, time: Duration) -> f64 {
        at(Instant::now(), pace, answers, time)
    }

    fn at(now: Instant, pace: &Pace, answers: usize, time: Duration) -> f64 {
        for _ in 0..answers {
            pace.took(time, now);
        }
        pace.lock().wanted
    }

    #[test]
    fn mails_take_what_the_database_has_left_over_and_always_one_turn() {
        let pace = Pace::new(8);
        assert_eq!(after(&pace, 100, QUICK), 8.0);
        assert_eq!(after(&pace, 200, SLOW), 1.0);
        assert_eq!(after(&pace, 100, QUICK), 8.0);
        assert_eq!(after(&pace, 100, QUICK + TARGET / 2), 8.0);
    }

    #[tokio::test]
    async fn turns_in_hand_come_to_their_end_and_are_not_given_again() {
        let pace = Pace::new(3);
        let (first, second, third) = (pace.turn().await, pace.turn().await, pace.turn().await);
        after(&pace, 1, QUICK);
        after(&pace, 50, SLOW);
        drop(first);
        drop(second);
        assert_eq!(pace.turns.available_permits(), 0);
        drop(third);
        assert_eq!(pace.turns.available_permits(), 1);
        let only = pace.turn().await;
        assert_eq!(pace.turns.available_permits(), 0);
        after(&pace, 50, QUICK);
        assert_eq!(pace.turns.available_permits(), 2);
        drop(only);
        assert_eq!(pace.turns.available_permits(), 3);
    }

    #[test]
    fn a_database_that_stays_slower_than_it_was_is_what_there_is() {
        let pace = Pace::new(4);
        let start = Instant::now();
        at(start, &pace, 1, QUICK);
        assert_eq!(at(start, &pace, 100, SLOW), 1.0);
        assert_eq!(at(start + REMEMBERED_FOR / 2, &pace, 100, SLOW), 1.0);
        assert_eq!(at(start + REMEMBERED_FOR, &pace, 100, SLOW), 4.0);
    }
}
