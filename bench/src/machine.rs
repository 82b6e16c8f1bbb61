//! What the figures were measured on.

use std::num::NonZero;
use std::{fmt, fs};

/// One machine at one time.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// Name of the CPU.
    pub cpu: String,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// Release of the kernel.
    pub kernel: String,
    /// Load average of the last minute, before the bench adds its own.
    pub load: String,
}

impl Machine {
    /// This one, now; what /proc does not tell is `unknown`.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let or_unknown = |text: Option<&str>| text.unwrap_or("unknown").trim().to_owned();
        let kib = field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|text| text.trim_end_matches("kB").trim().parse::<u64>().ok());
        Self {
            cores: std::thread::available_parallelism().map_or(0, NonZero::get),
            cpu: or_unknown(field(&read("/proc/cpuinfo"), "model name")),
            memory_gib: kib.unwrap_or(0).div_ceil(1024 * 1024),
            kernel: or_unknown(Some(&read("/proc/sys/kernel/osrelease"))),
            load: or_unknown(read("/proc/loadavg").split(' ').next()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cores,
            cpu,
            memory_gib,
            kernel,
            load,
        } = self;
        write!(
            f,
            "{cores} cores of {cpu}, {memory_gib} GiB, Linux {kernel}, load average {load} before"
        )
    }
}

/// The first value of `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .find(|(found, _)| found.trim() == name)
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let text = "processor\t: 0\nmodel name\t: Fast 9000\nmodel name\t: Fast 9000\n";
        assert_eq!(field(text, "model name"), Some("Fast 9000"));
        assert_eq!(field(text, "MemTotal"), None);
    }
}
