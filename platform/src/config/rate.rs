//! How often somebody may do something, as a setting.

use std::num::NonZeroU32;
use std::time::Duration;

use super::Setting;

/// Most that a setting can allow, and the longest time in which: a bucket is remembered for as long.
const MAX_TIMES: u32 = 1_000_000;
const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// So many at once, and as many again in each such time, evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub times: NonZeroU32,
    /// In which time.
    pub per: Duration,
}

impl Rate {
    /// So many in so many seconds.
    ///
    /// # Panics
    /// When `times` is 0.
    pub const fn new(times: u32, per_secs: u64) -> Self {
        Self {
            times: NonZeroU32::new(times).expect("some times"),
            per: Duration::from_secs(per_secs),
        }
    }
}

impl Setting for Rate {
    const EXPECTED: &'static str =
        "how often in which time, such as 60/1m: 1 to 1000000 in 1s to 24h";

    fn parse(text: &str) -> Option<Self> {
        let (times, per) = text.split_once('/')?;
        let (times, per) = (times.parse::<NonZeroU32>().ok()?, Duration::parse(per)?);
        let is_in_range =
            times.get() <= MAX_TIMES && (Duration::from_secs(1)..=MAX_TIME).contains(&per);
        is_in_range.then_some(Self { times, per })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_in_a_time() {
        assert_eq!(Rate::parse("60/1m"), Some(Rate::new(60, 60)));
        assert_eq!(Rate::parse("1/24h"), Some(Rate::new(1, 24 * 60 * 60)));
        for wrong in [
            "",
            "60",
            "0/1m",
            "-1/1m",
            "1000001/1m",
            "1/0s",
            "1/25h",
            "1/m",
            "1/1m/1m",
        ] {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }
}
