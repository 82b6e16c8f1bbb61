//! `make bench-log`: what one ordered log allows, by partitions, producers, waiting clients, and with and without rows.
//!
//! Each line is the program `ceiling` with other settings, so nothing here is of svc-checkout.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bench::ceiling_program;
use bench::figures::{Plan, Run, median};
use bench::machine::Machine;
use bench::report::number;
use clap::Parser;
use platform::clock::Timestamp;

const CLIENTS: [usize; 3] = [1, 64, 1_024];

const INTRODUCTION: &str = "\
# The log

`make bench-log` writes this file, on a stack of its own, whose services idle. It measures the pattern, not svc-checkout: the program `ceiling` (`bench/src/ceiling/`)
sends a command record per order and commits, in transactions of all that wait (at most 2,000), the records that the box office writes for
it: the order, its hold, and per partition and batch the event, its stock, the remembered commands and the position. With *rows* an order counts when its two
rows are written as well. Nothing is decided and no command is read back.

Every partition has one event, and the clients are spread over them.
";

/// What one ordered log allows, with the records of the box office
#[derive(Parser)]
struct Arguments {
    /// Seconds of one measurement
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Seconds of load before each measurement
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// Measurements of each kind
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// How it was started, for the report
    #[arg(long, default_value = "bench-log")]
    called: String,
    /// The file to write
    #[arg(long)]
    report: Option<PathBuf>,
}

/// One line of the table.
struct Setting {
    partitions: usize,
    producer_per_partition: bool,
    rows: bool,
}

const fn of(partitions: usize, producer_per_partition: bool, rows: bool) -> Setting {
    Setting {
        partitions,
        producer_per_partition,
        rows,
    }
}

const SETTINGS: [Setting; 7] = [
    of(1, false, false),
    of(6, false, false),
    of(24, false, false),
    of(1, false, true),
    of(6, false, true),
    of(6, true, false),
    of(24, true, false),
];

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-log: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let machine = Machine::here();
    let plan = Plan {
        warm_up: Duration::from_secs(arguments.warm_up),
        measured: Duration::from_secs(arguments.seconds),
        runs: arguments.runs,
    };
    println!("bench-log: heating up");
    runs(Plan::HEAT_UP, &of(6, false, true), CLIENTS[2])?;
    let mut table = String::from(
        "| partitions | producers | rows | 1 client: orders/s (p50, p99 ms) | 64 | 1,024 |\n|---|---|---|---|---|---|\n",
    );
    for setting in &SETTINGS {
        let producers = match setting.producer_per_partition {
            true => "one each",
            false => "one",
        };
        let rows = match setting.rows {
            true => "two per order",
            false => "none",
        };
        let mut line = format!("| {} | {producers} | {rows} |", setting.partitions);
        for clients in CLIENTS {
            let run = median(runs(plan, setting, clients)?).context("no run")?;
            ensure!(run.failures.is_empty(), "orders failed: {:?}", run.failures);
            line += &format!(
                " {} ({}, {}) |",
                number(run.orders_per_s),
                number(run.p50_ms),
                number(run.p99_ms)
            );
        }
        println!("{line}");
        table += &line;
        table.push('\n');
    }
    let date = Timestamp::now().to_rfc3339();
    let date = date.get(.."2026-05-01".len()).unwrap_or_default();
    let setting = format!(
        "{date}, `{}`, {machine}. Medians of {}, each {} s after {} s of warm-up; one broker, one CQL node, replication 1, acks=all.",
        arguments.called, arguments.runs, arguments.seconds, arguments.warm_up
    );
    println!("\n{setting}");
    if let Some(path) = &arguments.report {
        fs::write(path, format!("{INTRODUCTION}\n{table}\n{setting}\n"))
            .with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

fn runs(plan: Plan, setting: &Setting, clients: usize) -> anyhow::Result<Vec<Run>> {
    let partitions = setting.partitions.to_string();
    let mut more = vec!["--partitions", &partitions];
    if setting.producer_per_partition {
        more.push("--producer-per-partition");
    }
    if !setting.rows {
        more.push("--without-rows");
    }
    ceiling_program::run(plan, clients, &more)
}
