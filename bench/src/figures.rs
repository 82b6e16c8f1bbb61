//! What a run is and what comes out of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long and how often to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Load that is not counted, before each measurement.
    pub warm_up: Duration,
    /// What is counted.
    pub measured: Duration,
    /// Measurements of each kind; the median is shown.
    pub runs: usize,
}

impl Plan {
    /// Java compiles what it runs often: the first minute of a server is not its speed.
    pub const HEAT_UP: Self = Self {
        warm_up: Duration::from_secs(60),
        measured: Duration::from_secs(1),
        runs: 1,
    };
}

/// One measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Clients that wait for an answer at any time.
    pub clients: usize,
    /// Orders answered in the measured time, per second.
    pub orders_per_s: f64,
    /// Half of them waited no longer, in ms.
    pub p50_ms: f64,
    /// 99 of 100 waited no longer, in ms.
    pub p99_ms: f64,
    /// The longest time in which nobody got an answer, in ms. The disk of a shared machine stands still at times, and
    /// everybody waits for it: such a pause, not the system, then is the p99.
    pub pause_ms: f64,
    /// CPU time per order in µs, by process.
    pub cpu_us: BTreeMap<String, f64>,
    /// Orders that failed, by reason, warm-up included.
    pub failures: BTreeMap<String, u64>,
}

/// The run in the middle by orders per second; of an even number the slower of the two.
pub fn median(mut runs: Vec<Run>) -> Option<Run> {
    runs.sort_by(|a, b| a.orders_per_s.total_cmp(&b.orders_per_s));
    let middle = runs.len().checked_sub(1)? / 2;
    Some(runs.swap_remove(middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(orders_per_s: f64) -> Run {
        Run {
            clients: 1,
            orders_per_s,
            p50_ms: 0.0,
            p99_ms: 0.0,
            pause_ms: 0.0,
            cpu_us: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    #[test]
    fn the_median_is_the_middle() {
        let of = |figures: &[f64]| {
            median(figures.iter().copied().map(run).collect()).map(|run| run.orders_per_s)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[5.0]), Some(5.0));
        assert_eq!(of(&[9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(of(&[9.0, 1.0, 4.0, 7.0]), Some(4.0));
    }
}
