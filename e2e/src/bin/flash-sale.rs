//! `make flash-sale`: more shoppers than seats, kill -9 in the middle, and an audit. The exit code tells: 0 all holds,
//! 1 something does not, 2 could not be judged.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use e2e::Stack;
use e2e::flash_sale::faults::Fault;
use e2e::flash_sale::report::Verdict;
use e2e::flash_sale::{Audited, DRAINED_WITHIN, Settings, run};
use platform::ids::new_id;

/// A password hash takes 25 ms of a core, to register and to sign in: shoppers beyond these share accounts.
const ACCOUNTS_AT_MOST: u64 = 1_024;

/// A flash sale with faults in the middle and an audit at the end
#[derive(Parser)]
struct Arguments {
    /// Shoppers
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    buyers: u64,
    /// Seats, a fifth of them vip
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(5..=1_000_000))]
    seats: u32,
    /// Shoppers at a time
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u16).range(1..))]
    clients: u16,
    /// Accounts that the shoppers share; by default as many as shoppers, and at most 1,024
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    accounts: Option<u64>,
    /// Repeats what the shoppers of an earlier run wanted
    #[arg(long)]
    seed: Option<u64>,
    /// How often somebody who found it sold out comes again
    #[arg(long, default_value_t = 3)]
    comes_again: u32,
    /// Where the history goes; by default flash-sale.jsonl in the stack's folder
    #[arg(long)]
    history: Option<PathBuf>,
    /// Seconds after which no seat may be held any more
    #[arg(long, default_value_t = DRAINED_WITHIN.as_secs())]
    drained_within: u64,
    /// Nothing goes wrong
    #[arg(long)]
    without_faults: bool,
    /// Leave the audit out
    #[arg(long)]
    no_audit: bool,
}

// One thread: the shoppers shall leave the cores to the servers.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match sell(Arguments::parse()).await {
        Ok(verdict) => verdict.exit_code().into(),
        Err(error) => {
            eprintln!("flash-sale: {error:#}");
            Verdict::Unknown.exit_code().into()
        }
    }
}

async fn sell(arguments: Arguments) -> anyhow::Result<Verdict> {
    let stack = Stack::try_from_env()?;
    let history = match arguments.history {
        Some(path) => path,
        None => PathBuf::from(env::var_os("STACK_FOLDER").context("STACK_FOLDER is not set")?)
            .join("flash-sale.jsonl"),
    };
    let accounts = arguments
        .accounts
        .unwrap_or_else(|| arguments.buyers.min(ACCOUNTS_AT_MOST));
    let settings = Settings {
        buyers: arguments.buyers,
        seats: arguments.seats,
        clients: arguments.clients.into(),
        accounts: usize::try_from(accounts)?,
        // Short enough to be typed again.
        seed: arguments
            .seed
            .unwrap_or_else(|| new_id().as_u64_pair().1 % 1_000_000),
        comes_again: arguments.comes_again,
        faults: if arguments.without_faults {
            Vec::new()
        } else {
            Fault::ALL.to_vec()
        },
        history: std::path::absolute(history)?,
        drained_within: Duration::from_secs(arguments.drained_within),
        audit: if arguments.no_audit {
            Audited::Nothing
        } else {
            Audited::Everything
        },
    };
    let report = run(&stack, settings).await?;
    println!("\n{report}");
    Ok(report.verdict())
}

#[test]
fn the_arguments_are_well_formed() {
    use clap::CommandFactory as _;
    Arguments::command().debug_assert();
}
