//! Runs the program `ceiling`, which lies beside the one that asks.

use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::figures::{Plan, Run};

/// Its runs with so many clients, and `more` on its command line.
pub fn run(plan: Plan, clients: usize, more: &[&str]) -> anyhow::Result<Vec<Run>> {
    let program = std::env::current_exe()?.with_file_name("ceiling");
    let said = Command::new(&program)
        .args(["--clients", &clients.to_string()])
        .args(["--runs", &plan.runs.to_string()])
        .args(["--seconds", &plan.measured.as_secs().to_string()])
        .args(["--warm-up", &plan.warm_up.as_secs().to_string()])
        .args(more)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {}", program.display()))?;
    ensure!(said.status.success(), "the ceiling failed");
    String::from_utf8(said.stdout)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .context("what the ceiling says")
}
