//! The ceiling: the same records per order in the same kind of transaction and the same rows, with nothing in between.
//!
//! It shares no code with svc-checkout, so that a mistake there cannot slow this down too. A slot stands for a client:
//! it sends a command record, waits for the transaction that holds its order and then for its rows, and begins again.
//!
//! ```text
//! slot ── command record ──▶ ledger (one thread, one transaction of all that wait) ──▶ rows ──▶ slot
//! ```
//!
//! Prints one JSON line per run.

mod commands;
mod kafka;
mod ledger;
mod order;
mod place;
mod records;
mod rows;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bench::cpu::Processes;
use bench::figures::{Plan, Run};
use bench::meter::Meter;
use clap::Parser;
use futures::channel::mpsc;
use platform::avro::Registry;
use platform::ids::new_id;
use tokio::time::timeout;

use commands::Commands;
use ledger::Ledger;
use order::{Order, Show};
use place::Place;
use records::Encoders;
use rows::Rows;

/// Orders on the way at the end are waited for this long.
const LAST_ORDERS_WITHIN: Duration = Duration::from_secs(15);

/// The most orders per second that Kafka and the database allow
#[derive(Parser)]
struct Arguments {
    /// Orders on the way at any time
    #[arg(long)]
    clients: usize,
    /// Measurements
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of load before each measurement
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// Partitions, with an event in each; without it one event in one of as many as the stack has
    #[arg(long)]
    partitions: Option<i32>,
    /// A transactional producer for each partition, in the place of one for all
    #[arg(long, requires = "partitions")]
    producer_per_partition: bool,
    /// Nothing goes to the database: an order counts when it is committed
    #[arg(long)]
    without_rows: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match measure(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ceiling: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let processes = Processes::of_stack()?;
    let mut place = Place::from_env()?;
    if let Some(partitions) = arguments.partitions {
        place.kafka.event_partitions = partitions;
    }
    place.create().await?;
    let plan = Plan {
        warm_up: Duration::from_secs(arguments.warm_up),
        measured: Duration::from_secs(arguments.seconds),
        runs: arguments.runs,
    };
    for _ in 0..plan.runs {
        let run = run(&place, arguments, plan, &processes).await?;
        println!("{}", serde_json::to_string(&run)?);
        std::io::stdout().flush()?;
    }
    place.remove().await
}

/// One run, with clients of Kafka of its own.
async fn run(
    place: &Place,
    arguments: &Arguments,
    plan: Plan,
    processes: &Processes,
) -> anyhow::Result<Run> {
    let registry = Registry::new(place.kafka.schema_registry_url.as_str())?;
    let encoders = Arc::new(Encoders::register(&registry).await?);
    let partitions = place.kafka.event_partitions;
    let shows = match arguments.partitions {
        Some(_) => Show::everywhere(partitions),
        None => vec![Show::anywhere(partitions)],
    };
    let meter = Arc::new(Meter::new()?);
    let rows = match arguments.without_rows {
        true => None,
        false => Some(Rows::new(&place.cql).await?),
    };

    let (committed, to_write) = mpsc::unbounded();
    let ledgers = match arguments.producer_per_partition {
        true => shows.len(),
        false => 1,
    };
    let mut senders = Vec::with_capacity(ledgers);
    let mut threads = Vec::with_capacity(ledgers);
    for number in 0..ledgers {
        let (sent, to_decide) = std::sync::mpsc::channel();
        senders.push(sent);
        let ledger = Ledger::open(&place.kafka, &number.to_string(), Arc::clone(&encoders))?;
        let committed = committed.clone();
        let thread = std::thread::Builder::new().name(format!("ledger-{number}"));
        threads.push(thread.spawn(move || ledger.run(&to_decide, &committed))?);
    }
    drop(committed);
    let commands = Arc::new(Commands::new(&place.kafka, encoders, senders)?);
    let clients = arguments.clients;
    let (last, writing) = Rows::follow(
        rows,
        to_write,
        Arc::clone(&commands),
        Arc::clone(&meter),
        clients,
    );

    for show in shows.iter().cycle().take(clients) {
        commands.send(Order::new(*show, new_id()))?;
    }
    let measured = meter.measure(clients, plan, processes).await?;
    let all_written = timeout(LAST_ORDERS_WITHIN, last.cancelled()).await;
    last.cancel();
    writing.await?;
    // The last sender of commands: without it the ledgers end.
    drop(commands);
    for thread in threads {
        tokio::task::spawn_blocking(move || thread.join())
            .await?
            .map_err(|_| anyhow::anyhow!("a ledger panicked"))??;
    }
    all_written.context("some of the last orders were not written")?;
    Ok(Run {
        failures: meter.failures(),
        ..measured
    })
}
