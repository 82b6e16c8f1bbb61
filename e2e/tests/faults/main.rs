//! svc-checkout is stopped, killed and frozen while buyers order. No order that was answered is lost, none is made
//! twice, and the stock adds up.

mod load;
mod one_instance;
mod two_instances;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use tokio::sync::Mutex;

/// All tests here do something to svc-checkout: they take turns.
static TURN: Mutex<()> = Mutex::const_new(());

/// `infra/local/stack <verb> <program>`, on the stack that the environment names.
async fn stack_command(verb: &'static str, program: &'static str) -> anyhow::Result<()> {
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/local/stack");
    let run = move || Command::new(stack).args([verb, program]).output();
    let output = tokio::task::spawn_blocking(run)
        .await?
        .context("infra/local/stack")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "stack {verb} {program}: {said}");
    Ok(())
}
