//! `infra/local/stack` on the stack that the environment names: what stops, kills and starts its programs.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, ensure};

/// Runs `infra/local/stack` with these arguments to its end.
pub async fn stack(arguments: &[&str]) -> anyhow::Result<Output> {
    stack_with(arguments, &[]).await
}

/// The same with more variables in its environment: `SVC_CHECKOUT__NAME` is NAME for svc-checkout when it is started.
pub async fn stack_with(arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Output> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/local/stack");
    let mut command = Command::new(program);
    command.args(arguments).envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output())
        .await?
        .context("infra/local/stack")
}

/// `infra/local/stack <verb> <program>`, which must succeed.
pub async fn stack_command(verb: &str, program: &str) -> anyhow::Result<()> {
    stack_command_with(verb, program, &[]).await
}

/// The same with more variables in its environment.
pub async fn stack_command_with(
    verb: &str,
    program: &str,
    variables: &[(&str, &str)],
) -> anyhow::Result<()> {
    let output = stack_with(&[verb, program], variables).await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "stack {verb} {program}: {said}");
    Ok(())
}
