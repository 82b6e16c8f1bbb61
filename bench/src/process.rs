//! One process of this machine, from /proc.

use std::fs;

use anyhow::{Context as _, ensure};

/// A process by its id.
#[derive(Debug, Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    /// The memory that it has now, in MiB.
    pub fn memory_mib(self) -> anyhow::Result<u64> {
        self.status("VmRSS")
    }

    /// The most that it had since [`Process::forget_peak`], in MiB.
    pub fn peak_mib(self) -> anyhow::Result<u64> {
        self.status("VmHWM")
    }

    /// Lets the peak begin anew with what it has now.
    pub fn forget_peak(self) -> anyhow::Result<()> {
        let path = format!("/proc/{}/clear_refs", self.0);
        // What proc(5) has for exactly this.
        fs::write(&path, "5").with_context(|| format!("write {path}"))
    }

    /// Fails where it may not open so many files, a connection each.
    pub fn may_open(self, files: usize) -> anyhow::Result<()> {
        let path = format!("/proc/{}/limits", self.0);
        let limits = fs::read_to_string(&path).with_context(|| path.clone())?;
        let may = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files"))
            .and_then(|line| line.split_whitespace().next());
        let may = may.with_context(|| format!("{path} is not understood"))?;
        // "unlimited" is no number.
        let is_enough = may.parse().map_or(true, |may: usize| may >= files);
        ensure!(
            is_enough,
            "process {} may open {may} files and needs {files}: `ulimit -n` in the shell that starts it, or fewer --clients",
            self.0
        );
        Ok(())
    }

    fn status(self, field: &str) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.0);
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        let kib = status.lines().find_map(|line| {
            let line = line.strip_prefix(field)?.strip_prefix(':')?;
            line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
        });
        Ok(kib.with_context(|| format!("{path} has no {field}"))? / 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_begins_anew() -> anyhow::Result<()> {
        let this = Process(std::process::id());
        let filled = vec![1_u8; 256 << 20];
        let peak = this.peak_mib()?;
        assert!(peak >= 256, "{peak}");
        drop(std::hint::black_box(filled));
        this.forget_peak()?;
        let (now, peak) = (this.memory_mib()?, this.peak_mib()?);
        assert!(peak < 256 && now <= peak, "{now} {peak}");
        Ok(())
    }

    #[test]
    fn files_are_counted() -> anyhow::Result<()> {
        let this = Process(std::process::id());
        this.may_open(1)?;
        assert!(this.may_open(usize::MAX).is_err());
        Ok(())
    }
}
