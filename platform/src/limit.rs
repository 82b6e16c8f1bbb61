//! How often somebody may try something: a bucket for each who does.
//!
//! The counts are in memory: of several instances each has its own, and a restart begins anew. What they keep is bounded; when it is full,
//! what was seen least often is forgotten first, so that who tries a lot stays counted.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::sync::Cache;

use crate::config::Rate;
use crate::http::{Code, Problem};

/// Most buckets of one limit, of some 250 bytes each.
const MAX_BUCKETS: u64 = 50_000;

/// Somebody tried too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too often; again in {wait:?}")]
pub struct TooOften {
    /// When to come back.
    pub wait: Duration,
}

impl From<TooOften> for Problem {
    fn from(TooOften { wait }: TooOften) -> Self {
        // Rounded up: who comes back a moment too early is refused once more.
        let secs = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX);
        let secs = secs.saturating_add(1);
        Self::new(Code::TooManyRequests)
            .detail(format!("try again in {secs} s"))
            .retry_after(secs)
    }
}

/// A bucket for each key.
pub struct Buckets {
    limit: &'static str,
    quota: Quota,
    /// By the key's hash, which is as small as a key gets. It has a secret of this process: nobody can aim at the bucket
    /// of another.
    buckets: Cache<u64, Arc<Bucket>>,
    hasher: RandomState,
    clock: DefaultClock,
}

struct Bucket {
    left: DefaultDirectRateLimiter,
    /// Since the last refusal: when something is left again.
    empty_until: Mutex<Option<Instant>>,
}

impl Buckets {
    /// No bucket is in use yet. `limit` names it in the metric `limited_total`.
    ///
    /// # Panics
    /// When the rate's time cannot be divided by its times, which a [`Rate`] that was read can.
    pub fn new(limit: &'static str, rate: Rate) -> Self {
        let quota = Quota::with_period(rate.per / rate.times.get())
            .expect("a time that can be divided")
            .allow_burst(rate.times);
        Self {
            limit,
            quota,
            // Nobody has touched it for so long: it is as full as a new one.
            buckets: Cache::builder()
                .max_capacity(MAX_BUCKETS)
                .time_to_idle(rate.per)
                .build(),
            hasher: RandomState::new(),
            clock: DefaultClock::default(),
        }
    }

    /// Counts one more try of `key`, if it has one left.
    pub fn take(&self, key: impl Hash) -> Result<(), TooOften> {
        let fresh = || {
            Arc::new(Bucket {
                left: RateLimiter::direct(self.quota),
                empty_until: Mutex::default(),
            })
        };
        let bucket = self.buckets.get_with(self.hasher.hash_one(key), fresh);
        bucket.left.check().map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            *bucket.refused() = Some(Instant::now() + wait);
            self.refuse(wait)
        })
    }

    /// Counts nothing: whether `key` was refused a try and would be refused it again.
    pub fn look(&self, key: impl Hash) -> Result<(), TooOften> {
        let bucket = self.buckets.get(&self.hasher.hash_one(key));
        let until = bucket.and_then(|bucket| *bucket.refused());
        match until.and_then(|until| until.checked_duration_since(Instant::now())) {
            Some(wait) => Err(self.refuse(wait)),
            None => Ok(()),
        }
    }

    fn refuse(&self, wait: Duration) -> TooOften {
        metrics::counter!("limited_total", "limit" => self.limit).increment(1);
        TooOften { wait }
    }
}

impl Bucket {
    fn refused(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.empty_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_AN_HOUR: Rate = Rate::new(2, 3_600);

    #[test]
    fn who_was_refused_is_told_so_until_something_is_left_again() {
        let buckets = Buckets::new("test", TWO_AN_HOUR);
        buckets.look("alice").unwrap();
        for _ in 0..2 {
            buckets.take("alice").unwrap();
            buckets.look("alice").unwrap();
        }
        let refused = buckets.take("alice").unwrap_err();
        let looked = buckets.look("alice").unwrap_err();
        let a_bucket = Duration::from_secs(1_800);
        for TooOften { wait } in [refused, looked] {
            assert!(wait > a_bucket / 2 && wait <= a_bucket, "{wait:?}");
        }
        buckets.look("bruno").unwrap();
        buckets.take("bruno").unwrap();

        let quick = Buckets::new("test", Rate::new(50, 1));
        while quick.take("alice").is_ok() {}
        let began = Instant::now();
        while quick.look("alice").is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "refused for ever"
            );
            std::thread::yield_now();
        }
    }

    #[test]
    fn however_many_try_what_is_kept_is_bounded() {
        let buckets = Buckets::new("test", TWO_AN_HOUR);
        for number in 0..3 * MAX_BUCKETS {
            _ = buckets.take(number);
            // Who is always there is not forgotten for those who come once.
            _ = buckets.take("loud");
        }
        buckets.buckets.run_pending_tasks();
        assert!(buckets.buckets.entry_count() <= MAX_BUCKETS);
        assert!(buckets.take("loud").is_err());
    }

    #[test]
    fn the_answer_says_when_to_come_back() {
        let wait = Duration::from_millis(2_400);
        let problem = Problem::from(TooOften { wait });
        assert_eq!(problem.status(), 429);
        assert!(problem.to_string().contains("in 3 s"), "{problem}");
    }
}
