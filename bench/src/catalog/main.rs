//! `make bench-catalog`: how long svc-catalog takes to start with many events, and how fast it answers those who have not
//! signed in.

mod events;
mod readers;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bench::cpu::Processes;
use bench::figures::Plan;
use bench::machine::Machine;
use clap::Parser;
use e2e::Stack;
use e2e::control::{stack, stack_command};

use crate::events::Vocabulary;

const CATALOG: &str = "svc-catalog";
const WARM_UP: Duration = Duration::from_secs(2);

/// How fast a large catalog is read
#[derive(Parser)]
struct Arguments {
    /// Events in the catalog
    #[arg(long, default_value_t = 100_000)]
    events: u32,
    /// Clients that wait for an answer at any time
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

// One thread: the clients shall leave the cores to the server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match measure(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-catalog: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let machine = Machine::here();
    let named = Stack::try_from_env()?;
    let vocabulary = Vocabulary::default();
    println!("bench-catalog: {} events", arguments.events);
    events::fill(&named, &vocabulary, arguments.events).await?;
    stack_command("stop", CATALOG).await?;
    let began = Instant::now();
    stack_command("start", CATALOG).await?;
    println!(
        "\n{} cores of {}, {} GiB, Linux {}; clients and servers on it together\n",
        machine.cores, machine.cpu, machine.memory_gib, machine.kernel
    );
    println!(
        "ready {:.1} s after its start",
        began.elapsed().as_secs_f64()
    );
    println!("{}\n", memory().await?);

    let plan = Plan {
        warm_up: WARM_UP,
        measured: Duration::from_secs(arguments.seconds),
        runs: 1,
    };
    println!(
        "| {} clients ask for | answers/s | p50 ms | p99 ms | µs of CPU each |",
        arguments.clients
    );
    println!("|---|---|---|---|---|");
    let processes = Processes::of_stack()?;
    for (what, addresses) in readers::questions(&named, &vocabulary).await? {
        let run = readers::run(&named, addresses, arguments.clients, plan, &processes).await?;
        ensure!(run.failures.is_empty(), "{what}: {:?}", run.failures);
        let cpu = run.cpu_us.get(CATALOG).copied().unwrap_or_default();
        println!(
            "| {what} | {:.0} | {:.1} | {:.1} | {cpu:.0} |",
            run.orders_per_s, run.p50_ms, run.p99_ms
        );
    }
    println!("\n{}", memory().await?);
    Ok(())
}

/// The line of the stack's status that has the memory of svc-catalog.
async fn memory() -> anyhow::Result<String> {
    let status = stack(&["status"]).await?;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    let line = status.lines().find(|line| line.starts_with(CATALOG));
    Ok(line.context("svc-catalog does not run")?.to_owned())
}
