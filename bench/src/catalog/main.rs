//! `make bench-catalog`: how long svc-catalog takes to start with many events, how fast it answers those who have not signed
//! in, beside what nginx does with the same bytes, how soon a second instance knows of a change, and how soon thousands see a
//! seat go, also while many are sold.

mod at_load;
mod buyers;
mod events;
mod nginx;
mod readers;
mod second;
mod streams;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bench::connection::authority;
use bench::cpu::Processes;
use bench::figures::Plan;
use bench::machine::Machine;
use clap::Parser;
use e2e::Stack;
use e2e::control::{stack as stack_of_programs, stack_command};

use crate::events::Vocabulary;
use crate::nginx::Nginx;
use crate::readers::FIRST_PAGE;
use crate::streams::Watchers;

const CATALOG: &str = "svc-catalog";
const NGINX: &str = "nginx";
const WARM_UP: Duration = Duration::from_secs(2);

/// How fast a large catalog is read
#[derive(Parser)]
struct Arguments {
    /// Events in the catalog
    #[arg(long, default_value_t = 100_000)]
    events: u32,
    /// Clients that wait for an answer at any time; 0: nothing is read
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Open streams of one event; 0: none
    #[arg(long, default_value_t = 5_000)]
    streams: usize,
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
    let stack = Stack::try_from_env()?;
    let vocabulary = Vocabulary::default();
    println!("bench-catalog: {} events", arguments.events);
    events::fill(&stack, &vocabulary, arguments.events).await?;
    Processes::of_stack()?.until_at_rest().await?;
    stack_command("stop", CATALOG).await?;
    let began = Instant::now();
    stack_command("start", CATALOG).await?;
    let took = began.elapsed();
    let processes = Processes::of_stack()?;
    let sample = processes.sample()?;
    let used = sample.get(CATALOG).copied().unwrap_or_default();
    println!("\n{machine}; clients and servers on it together\n");
    println!(
        "ready {:.1} s after its start, with {:.1} s of CPU and {}\n",
        took.as_secs_f64(),
        used.as_secs_f64(),
        memory().await?
    );

    if arguments.clients > 0 {
        read(&stack, &vocabulary, arguments, processes).await?;
    }
    if arguments.streams > 0 {
        let measured = Duration::from_secs(arguments.seconds);
        watched(&stack, arguments.streams, measured).await?;
    }
    Ok(())
}

/// Asks all kinds of questions, and prints how fast they are answered.
async fn read(
    stack: &Stack,
    vocabulary: &Vocabulary,
    arguments: &Arguments,
    processes: Processes,
) -> anyhow::Result<()> {
    let clients = Clients {
        count: arguments.clients,
        plan: Plan {
            warm_up: WARM_UP,
            measured: Duration::from_secs(arguments.seconds),
            runs: 1,
        },
        processes,
    };
    let catalog = authority(stack.catalog().base())?;
    println!("{}", clients.heading("ask for"));
    for (what, addresses) in readers::questions(stack, vocabulary).await? {
        clients.ask(what, &catalog, addresses, CATALOG).await?;
    }
    println!("\n{} after that\n", memory().await?);
    beside_nginx(stack, clients).await?;
    second::measure(stack).await
}

/// Those who ask, and for how long.
struct Clients {
    count: usize,
    plan: Plan,
    processes: Processes,
}

impl Clients {
    fn heading(&self, what: &str) -> String {
        let clients = self.count;
        format!(
            "| {clients} clients {what} | answers/s | p50 ms | p99 ms | µs of CPU each |\n|---|---|---|---|---|"
        )
    }

    /// Lets them ask and prints a line: answers per second of the program that `process` names.
    async fn ask(
        &self,
        what: &str,
        authority: &str,
        addresses: Vec<String>,
        process: &str,
    ) -> anyhow::Result<f64> {
        let (count, plan) = (self.count, self.plan);
        let run = readers::run(authority, addresses, count, plan, &self.processes).await?;
        ensure!(run.failures.is_empty(), "{what}: {:?}", run.failures);
        let cpu = run.cpu_us.get(process).copied().unwrap_or_default();
        println!(
            "| {what} | {:.0} | {:.1} | {:.1} | {cpu:.0} |",
            run.orders_per_s, run.p50_ms, run.p99_ms
        );
        Ok(run.orders_per_s)
    }
}

/// The first page, from svc-catalog and from a file in turn.
async fn beside_nginx(stack: &Stack, clients: Clients) -> anyhow::Result<()> {
    let page = stack.catalog().get(FIRST_PAGE).send().await?;
    let Some(nginx) = Nginx::start(FIRST_PAGE, &page.bytes).await? else {
        println!("nginx is not installed, so nothing is compared with it: apt-get install nginx\n");
        return Ok(());
    };
    let kib = page.bytes.len() / 1024;
    let clients = Clients {
        processes: clients.processes.and(NGINX, nginx.pid()),
        ..clients
    };
    let addresses = || vec![FIRST_PAGE.to_owned()];
    let catalog = authority(stack.catalog().base())?;
    println!(
        "{}",
        clients.heading(&format!("ask for the first page, {kib} KiB, from"))
    );
    let ours = clients.ask(CATALOG, &catalog, addresses(), CATALOG).await?;
    let theirs = clients.ask("nginx, a file", &nginx.authority, addresses(), NGINX);
    let share = 100.0 * ours / theirs.await?;
    println!("\nsvc-catalog answers {share:.0} % of what nginx does\n");
    Ok(())
}

/// Many open streams of one event.
async fn watched(stack: &Stack, streams: usize, measured: Duration) -> anyhow::Result<()> {
    let before = memory().await?;
    let watchers = Watchers::open(stack, streams).await?;
    let after = memory().await?;
    let took = watchers.order(stack).await?;
    let (median, worst) = (took[took.len() / 2], took[took.len() - 1]);
    println!(
        "{streams} open streams of an event: {before} without them, {after} with them\n\
         the last of them showed a seat as gone {} ms after its order was answered, {} ms in the worst of {}\n",
        median.as_millis(),
        worst.as_millis(),
        took.len()
    );
    at_load::measure(stack, &watchers, measured).await?;
    println!("\n{} after that", memory().await?);
    Ok(())
}

/// Memory of svc-catalog, as the stack's status tells it.
async fn memory() -> anyhow::Result<String> {
    let status = stack_of_programs(&["status"]).await?;
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    let line = status.lines().find(|line| line.starts_with(CATALOG));
    let memory = line.and_then(|line| line.rsplit(", ").next());
    Ok(memory.context("svc-catalog does not run")?.to_owned())
}
