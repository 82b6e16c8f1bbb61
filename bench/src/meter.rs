//! Counts the answers of one run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep};

use crate::cpu::{self, Processes};
use crate::figures::{Plan, Run};

/// Longest latency told apart: 60 s in µs.
const LONGEST_US: u64 = 60_000_000;
/// Latencies are kept to 0.1 %.
const DIGITS: u8 = 3;

/// The answers that counted.
struct Answers {
    latencies: Histogram<u64>,
    /// When the last one came; `None` before the first.
    last: Option<Instant>,
    longest_pause: Duration,
}

/// What the clients of one run report to.
pub struct Meter {
    measuring: AtomicBool,
    ended: AtomicBool,
    answers: Mutex<Answers>,
    failures: Mutex<BTreeMap<String, u64>>,
}

impl Meter {
    /// Nothing is counted yet.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            measuring: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            answers: Mutex::new(Answers {
                latencies: Histogram::new_with_bounds(1, LONGEST_US, DIGITS)?,
                last: None,
                longest_pause: Duration::ZERO,
            }),
            failures: Mutex::default(),
        })
    }

    /// An order that was answered after this time.
    pub fn answered(&self, took: Duration) {
        if self.measuring.load(Ordering::Relaxed) {
            let us = u64::try_from(took.as_micros()).unwrap_or(LONGEST_US);
            let now = Instant::now();
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.latencies.saturating_record(us);
            if let Some(last) = answers.last.replace(now) {
                answers.longest_pause = answers.longest_pause.max(now - last);
            }
        }
    }

    /// An order that was not placed; warm-up counts too.
    pub fn failed(&self, reason: String) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry(reason).or_default() += 1;
    }

    /// Whether clients shall stop.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Lets `clients` warm up, counts for the planned time and tells them to end.
    pub async fn measure(
        &self,
        clients: usize,
        plan: Plan,
        processes: &Processes,
    ) -> anyhow::Result<Run> {
        sleep(plan.warm_up).await;
        let (began, before) = (Instant::now(), processes.sample()?);
        self.measuring.store(true, Ordering::Relaxed);
        sleep(plan.measured).await;
        self.measuring.store(false, Ordering::Relaxed);
        let (took, after) = (began.elapsed(), processes.sample()?);
        self.ended.store(true, Ordering::Relaxed);
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let latencies = &answers.latencies;
        let ms = |quantile: f64| {
            Duration::from_micros(latencies.value_at_quantile(quantile)).as_secs_f64() * 1e3
        };
        #[expect(
            clippy::cast_precision_loss,
            reason = "orders of one run are far below 2^53"
        )]
        let orders_per_s = latencies.len() as f64 / took.as_secs_f64();
        Ok(Run {
            clients,
            orders_per_s,
            p50_ms: ms(0.50),
            p99_ms: ms(0.99),
            pause_ms: answers.longest_pause.as_secs_f64() * 1e3,
            cpu_us: cpu::per_order(&before, &after, latencies.len()),
            failures: BTreeMap::new(),
        })
    }

    /// What failed, by reason.
    pub fn failures(&self) -> BTreeMap<String, u64> {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
