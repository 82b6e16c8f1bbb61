//! svc-checkout: `serve | migrate | rebuild | audit | state-machine | openapi | healthcheck`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use platform::config::Env;
use platform::{Main, Start, run_main_with};
use svc_checkout::audit::{self, Audit};
use svc_checkout::config::{Config, StoresConfig};
use svc_checkout::domain::state_machine;
use svc_checkout::rebuild;

/// Orders are many small allocations: with the system's allocator every tenth cycle goes there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Subcommand)]
enum Command {
    /// Compare topics, tables, the provider's ledger and what clients were answered; 0: all of it holds, 1: something is
    /// broken, 2: it could not be judged
    Audit(Audit),
    /// Write the tables anew from the topics, into an empty keyspace (CQL_KEYSPACE)
    Rebuild,
    /// Print what becomes of an order, as docs/STATE_MACHINE.md has it
    StateMachine,
}

fn main() -> ExitCode {
    run_main_with(
        Main {
            name: env!("CARGO_PKG_NAME"),
            openapi: svc_checkout::routes::openapi,
        },
        async |start: Start| {
            let config = start.env.read(Config::from_env)?;
            svc_checkout::serve(config, start.metrics, start.shutdown).await
        },
        async |env| svc_checkout::migrate(&env.read(StoresConfig::from_env)?).await,
        async |command, env: Env| {
            let config = env.read(StoresConfig::from_env);
            match command {
                Command::StateMachine => {
                    write!(std::io::stdout().lock(), "{}", state_machine::table())?;
                    Ok(ExitCode::SUCCESS)
                }
                Command::Rebuild => {
                    rebuild::run(&config?).await?;
                    Ok(ExitCode::SUCCESS)
                }
                Command::Audit(what) => {
                    let report = async { audit::run(&config?, &what).await }.await;
                    judged(report)
                }
            }
        },
    )
}

/// What a script needs to know: broken is not the same as unknown.
fn judged(report: anyhow::Result<audit::Report>) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match report {
        Ok(report) => {
            writeln!(out, "{report}")?;
            Ok(ExitCode::from(u8::from(!report.holds())))
        }
        Err(error) => {
            writeln!(
                out,
                "verdict: unknown, for it could not be judged: {error:#}"
            )?;
            Ok(ExitCode::from(2))
        }
    }
}
