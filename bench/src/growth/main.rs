//! `make growth`: what the paid orders of an event do to the next one, and to how soon it is sold again after a restart, a
//! take-over and a hand-over.

mod outages;
mod report;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bench::cpu::Processes;
use bench::figures::Plan;
use bench::load::{self, Purchase};
use bench::machine::Machine;
use bench::process::Process;
use bench::users::Buyers;
use clap::Parser;
use e2e::control::stack_command;
use e2e::flash_sale::faults::FIRST_PROGRAM;
use e2e::wait::SOON;
use e2e::{PublishedEvent, Role, Stack, TicketType, eventually};
use platform::clock::Timestamp;

use crate::outages::Probe;
use crate::report::{AfterOutages, AfterSales, Report};

const MAILER: &str = "svc-mailer";
/// What catalog allows an event at most.
const SEATS: u32 = 1_000_000;
/// Orders that are made with the same tokens, which live 15 minutes.
const CHUNK: usize = 100_000;
/// A chunk takes less, and so do all outages at one number of past orders.
const TOKENS_LAST: Duration = Duration::from_secs(5 * 60);

/// Past orders of an event, and what they cost
#[derive(Parser)]
struct Arguments {
    /// Numbers of past orders after which svc-checkout is killed and stopped. An event has 1,000,000 seats: the last ones are for
    /// whoever orders meanwhile
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1000,10000,100000,995000"
    )]
    outages: Vec<usize>,
    /// Numbers of past orders after which orders per second are measured; the next number is to be larger than what is sold
    /// in that time
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,900000")]
    orders: Vec<usize>,
    /// Clients that wait for an answer at any time
    #[arg(long, default_value_t = 1_024)]
    clients: usize,
    /// Seconds of one measurement of orders per second
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of load before it
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// How it was started, for the report
    #[arg(long, default_value = "bench-growth")]
    called: String,
    /// The file to write
    #[arg(long)]
    report: Option<PathBuf>,
}

// One thread: the clients shall leave the cores to the servers.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match measure(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-growth: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: Arguments) -> anyhow::Result<()> {
    let machine = Machine::here();
    let stack = Stack::try_from_env()?;
    if Processes::of_stack()?.pid(MAILER).is_ok() {
        // A paid order is a mail, and a million mails are another measurement.
        stack_command("stop", MAILER).await?;
    }
    println!("bench-growth: registering {} buyers", arguments.clients);
    let organizer = stack.user(&[Role::Organizer]).await?;
    // Nothing is left to pay, so an order is paid when it is placed.
    let ticket_type = TicketType::general(SEATS).at(0);
    let mut sale = Sale {
        buyers: Buyers::register(&stack, arguments.clients).await?,
        event: stack.published_event(&organizer, &[ticket_type]).await?,
        clients: arguments.clients,
        stack,
    };
    let mut report = Report {
        date: Timestamp::now()
            .to_rfc3339()
            .chars()
            .take("2026-05-01".len())
            .collect(),
        command: arguments.called,
        machine,
        plan: Plan {
            warm_up: Duration::from_secs(arguments.warm_up),
            measured: Duration::from_secs(arguments.seconds),
            runs: 1,
        },
        outages: Vec::new(),
        sales: Vec::new(),
    };
    let mut marks = [arguments.outages.as_slice(), &arguments.orders].concat();
    marks.sort_unstable();
    marks.dedup();
    for mark in marks {
        sale.sell_until(mark).await?;
        if arguments.outages.contains(&mark) {
            let outages = sale.after_outages().await?;
            println!("bench-growth: {outages}");
            report.outages.push(outages);
        }
        if arguments.orders.contains(&mark) {
            let sales = sale.after_sales(report.plan).await?;
            println!("bench-growth: {sales}");
            report.sales.push(sales);
        }
    }
    println!("\n{}", report.figures());
    if let Some(path) = &arguments.report {
        fs::write(path, report.file()).with_context(|| format!("write {}", path.display()))?;
        println!("Written to {}", path.display());
    }
    let missed = report.missed();
    ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
    Ok(())
}

/// The event and those who buy.
struct Sale {
    stack: Stack,
    buyers: Buyers,
    event: PublishedEvent,
    clients: usize,
}

impl Sale {
    /// Paid orders of the event, of one ticket each, as everybody can read them.
    async fn past(&self) -> anyhow::Result<usize> {
        let path = format!("/v1/events/{}/availability", self.event.id);
        let shown = self.stack.catalog().get(path).send().await?.expect(200)?;
        let sold = shown["ticket_types"][0]["sold"].as_u64();
        Ok(usize::try_from(sold.context("seats that are sold")?)?)
    }

    /// Sells until there are so many paid orders, if there are not more.
    async fn sell_until(&mut self, mark: usize) -> anyhow::Result<()> {
        loop {
            let past = self.past().await?;
            let chunk = mark.saturating_sub(past).min(CHUNK);
            if chunk == 0 {
                return Ok(());
            }
            let tokens = self.buyers.tokens(self.clients, TOKENS_LAST).await?;
            load::place(self.stack.checkout().base(), tokens, &self.event, chunk).await?;
            eventually(SOON, "every order to be shown as sold", async || {
                Ok((self.past().await? >= past + chunk).then_some(()))
            })
            .await?;
        }
    }

    fn memory_mib() -> anyhow::Result<u64> {
        Process(Processes::of_stack()?.pid(FIRST_PROGRAM)?).memory_mib()
    }

    async fn after_outages(&mut self) -> anyhow::Result<AfterOutages> {
        let (past, before_mib) = (self.past().await?, Self::memory_mib()?);
        let tokens = self.buyers.tokens(1, TOKENS_LAST).await?;
        let probe = Probe {
            stack: &self.stack,
            token: &tokens[0],
            event: &self.event,
        };
        let outages = probe.outages().await?;
        Ok(AfterOutages {
            past,
            before_mib,
            outages,
            after_mib: Self::memory_mib()?,
        })
    }

    async fn after_sales(&mut self, plan: Plan) -> anyhow::Result<AfterSales> {
        let past = self.past().await?;
        let duration = plan.warm_up + plan.measured;
        let tokens = self.buyers.tokens(self.clients, duration).await?;
        let url = self.stack.checkout().base();
        let events = std::slice::from_ref(&self.event);
        // With the processes of now: every outage makes a new one.
        let processes = Processes::of_stack()?;
        let run = load::run(url, tokens, events, Purchase::Held, plan, &processes).await?;
        ensure!(run.failures.is_empty(), "orders failed: {:?}", run.failures);
        Ok(AfterSales { past, run })
    }
}
