//! CPU time by process, from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

/// Linux counts the CPU time that it shows in 1/100 s, whatever its own clock does.
const TICK: Duration = Duration::from_millis(10);
/// The measuring program itself.
pub const CLIENT: &str = "client";
/// Everything on this machine that is neither the stack nor the measuring program: when it is
/// not next to nothing, the figures are disturbed.
pub const ELSEWHERE: &str = "elsewhere";

/// The stack is at rest when it takes less than a third of a core for as long: it always takes some.
const LOOK_EVERY: Duration = Duration::from_secs(3);
const LOOKS_AT_MOST: u32 = 60;

/// The processes of the stack and this one.
#[derive(Debug, Clone)]
pub struct Processes(Vec<(String, u32)>);

/// CPU time used so far, by process.
pub type Sample = BTreeMap<String, Duration>;

impl Processes {
    /// As `infra/local/stack status` lists them; called in the root of the repository.
    pub fn of_stack() -> anyhow::Result<Self> {
        let status = Command::new("infra/local/stack")
            .arg("status")
            .output()
            .context("infra/local/stack status: run it in the root of the repository")?;
        ensure!(status.status.success(), "infra/local/stack status failed");
        let mut processes: Vec<_> = String::from_utf8_lossy(&status.stdout)
            .lines()
            .filter_map(running)
            .collect();
        ensure!(!processes.is_empty(), "the stack does not run");
        processes.push((CLIENT.to_owned(), std::process::id()));
        Ok(Self(processes))
    }

    /// These and one more, with the children that it has now: their time is shown together.
    #[must_use]
    pub fn and(mut self, name: &str, pid: u32) -> Self {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().flat_map(str::parse);
        let pids = std::iter::once(pid).chain(children);
        self.0.extend(pids.map(|pid| (name.to_owned(), pid)));
        self
    }

    /// The id of one of them.
    pub fn pid(&self, name: &str) -> anyhow::Result<u32> {
        let found = self.0.iter().find(|(known, _)| known == name);
        let (_, pid) = found.with_context(|| format!("{name} does not run"))?;
        Ok(*pid)
    }

    /// What each has used since its start.
    pub fn sample(&self) -> anyhow::Result<Sample> {
        let mut sample = Sample::new();
        for (name, pid) in &self.0 {
            let path = format!("/proc/{pid}/stat");
            let stat = fs::read_to_string(&path).with_context(|| format!("{name} has died"))?;
            let used = process_ticks(&stat).with_context(|| format!("{path} is not understood"))?;
            *sample.entry(name.clone()).or_default() += TICK * used;
        }
        let all = fs::read_to_string("/proc/stat").context("/proc/stat")?;
        let all = TICK * machine_ticks(&all).context("/proc/stat is not understood")?;
        let ours = sample.values().sum();
        sample.insert(ELSEWHERE.to_owned(), all.saturating_sub(ours));
        Ok(sample)
    }

    /// Waits until the stack is done with what was asked of it before: its database brings new rows into order for a while.
    pub async fn until_at_rest(&self) -> anyhow::Result<()> {
        let mut before = self.sample()?;
        let mut busy = String::new();
        for _ in 0..LOOKS_AT_MOST {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.sample()?;
            let used = now
                .iter()
                .filter(|(name, _)| name.as_str() != ELSEWHERE)
                .map(|(name, now)| (name, now.saturating_sub(before[name])));
            let used: Vec<_> = used.collect();
            if used.iter().map(|(_, used)| *used).sum::<Duration>() < LOOK_EVERY / 3 {
                return Ok(());
            }
            busy = format!("{used:.1?}");
            before = now;
        }
        anyhow::bail!("the stack does not come to rest: CPU in {LOOK_EVERY:?}: {busy}")
    }
}

/// `kafka         runs, pid 31527, 386 MiB`; nothing for a program that is stopped.
fn running(line: &str) -> Option<(String, u32)> {
    let (name, state) = line.split_once(char::is_whitespace)?;
    let pid = state
        .trim_start()
        .strip_prefix("runs, pid ")?
        .split_once(',')?
        .0;
    Some((name.to_owned(), pid.parse().ok()?))
}

/// User and system time of a process. Its name, in brackets, may contain anything.
fn process_ticks(stat: &str) -> Option<u32> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u32>().ok();
    // Fields 14 and 15 of the line; the first behind the name is field 3.
    Some(ticks(11)? + ticks(12)?)
}

/// Time in which the machine was not idle: user, nice, system, irq, softirq and steal.
fn machine_ticks(stat: &str) -> Option<u32> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u32> = line
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    [0, 1, 2, 5, 6, 7]
        .iter()
        .map(|&index| fields.get(index))
        .sum()
}

/// What was used between two samples per order, in µs.
pub fn per_order(before: &Sample, after: &Sample, orders: u64) -> BTreeMap<String, f64> {
    if orders == 0 {
        return BTreeMap::new();
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "orders of one run are far below 2^53"
    )]
    let orders = orders as f64;
    after
        .iter()
        .map(|(name, used)| {
            let used = used.saturating_sub(before.get(name).copied().unwrap_or_default());
            (name.clone(), used.as_secs_f64() * 1e6 / orders)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_read() {
        assert_eq!(
            running("kafka         runs, pid 31527, 386 MiB"),
            Some(("kafka".to_owned(), 31527))
        );
        assert_eq!(running("gateway       stopped"), None);
        assert_eq!(running("svc-mailer    died; its log: /tmp/a"), None);
    }

    #[test]
    fn ticks_are_read() {
        let stat = "12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 700 42 0 0 20 0 9 0 100 1 2";
        assert_eq!(process_ticks(stat), Some(742));
        assert_eq!(
            machine_ticks("cpu  1 2 3 1000 2000 4 5 6 0 0\ncpu0 1"),
            Some(21)
        );
    }
}
