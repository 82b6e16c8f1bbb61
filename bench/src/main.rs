//! `make bench`: buys at the service's port and through the gateway, and measures the ceiling beside it; then sign-ins.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bench::ceiling_program;
use bench::cpu::Processes;
use bench::figures::{Plan, Run};
use bench::identity;
use bench::load::{self, Purchase};
use bench::machine::Machine;
use bench::report::{CROWD, Report, Scene};
use bench::users::Buyers;
use clap::Parser;
use e2e::control::stack_command;
use e2e::{PublishedEvent, Role, Stack, TicketType, User};
use platform::clock::Timestamp;

/// What catalog allows at most: no run can sell it out.
const SEATS: u32 = 1_000_000;
/// Of [`Scene::Events`].
const MANY_EVENTS: usize = 100;
const MAILER: &str = "svc-mailer";

/// Orders per second, at the service, through the gateway and at most; and sign-ins
#[derive(Parser)]
struct Arguments {
    /// Seconds of one measurement
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Seconds of load before each measurement
    #[arg(long, default_value_t = 3)]
    warm_up: u64,
    /// Measurements of each kind
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Levels of waiting clients; the fewest last, when the servers are at their warmest
    #[arg(long, value_delimiter = ',', default_value = "1024,64,1")]
    clients: Vec<usize>,
    /// What to measure; `events` and `paid` with 1,024 clients only
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "service,gateway,events,paid,ceiling"
    )]
    scenes: Vec<Scene>,
    /// How the bench was started, for the report
    #[arg(long, default_value = "bench")]
    called: String,
    /// The file to write, its past figures kept
    #[arg(long)]
    report: Option<PathBuf>,
}

// One thread: the clients shall leave the cores to the servers.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match measure(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("bench: orders or sign-ins failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every order was placed and every sign-in taken.
async fn measure(arguments: Arguments) -> anyhow::Result<bool> {
    let machine = Machine::here();
    let mut bench = Bench::new(&arguments).await?;
    let mut runs = Vec::new();
    for &clients in &arguments.clients {
        for scene in Scene::ALL {
            if !arguments.scenes.contains(&scene) || !(scene.is_for_all() || clients == CROWD) {
                continue;
            }
            let measured = bench.measure(scene, clients).await?;
            runs.extend(measured.into_iter().map(|run| (scene, run)));
        }
    }
    println!("bench: sign-ins, once the database has brought the orders into order");
    bench.processes.until_at_rest().await?;
    // With connections of its own: the servers may have closed those of before while the ceiling held this thread.
    let stack = Stack::try_from_env()?;
    let identity = identity::measure(&stack, bench.plan, &bench.processes).await?;
    let report = Report {
        date: Timestamp::now()
            .to_rfc3339()
            .chars()
            .take("2026-05-01".len())
            .collect(),
        command: arguments.called,
        machine,
        plan: bench.plan,
        partitions: bench.stack.event_partitions,
        runs,
        identity,
    };
    println!("\n{}", report.figures());
    if let Some(path) = &arguments.report
        && report.is_clean()
    {
        let old = fs::read_to_string(path).unwrap_or_default();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, report.file(&old)).with_context(|| format!("write {}", path.display()))?;
        println!("Written to {}", path.display());
    }
    Ok(report.is_clean())
}

struct Bench {
    stack: Stack,
    processes: Processes,
    plan: Plan,
    buyers: Buyers,
    organizer: User,
}

impl Bench {
    async fn new(arguments: &Arguments) -> anyhow::Result<Self> {
        let stack = Stack::try_from_env()?;
        let processes = Processes::of_stack()?;
        let plan = Plan {
            warm_up: Duration::from_secs(arguments.warm_up),
            measured: Duration::from_secs(arguments.seconds),
            runs: arguments.runs,
        };
        let most = arguments
            .clients
            .iter()
            .copied()
            .max()
            .context("no --clients")?;
        ensure!(
            arguments.clients.iter().all(|clients| *clients > 0),
            "--clients are at least 1"
        );
        println!("bench: registering {most} buyers");
        let buyers = Buyers::register(&stack, most).await?;
        let organizer = stack.user(&[Role::Organizer]).await?;
        let mut bench = Self {
            stack,
            processes,
            plan,
            buyers,
            organizer,
        };
        println!("bench: heating up");
        bench.buy(Scene::Gateway, most, Plan::HEAT_UP).await?;
        Ok(bench)
    }

    /// All runs of one scene.
    async fn measure(&mut self, scene: Scene, clients: usize) -> anyhow::Result<Vec<Run>> {
        if scene == Scene::Ceiling {
            let runs = ceiling_program::run(self.plan, clients, &[])?;
            runs.iter().for_each(|run| tell(scene, run));
            return Ok(runs);
        }
        if scene == Scene::Paid {
            self.begin_paying(clients).await?;
        }
        let mut runs = Vec::with_capacity(self.plan.runs);
        for _ in 0..self.plan.runs {
            runs.push(self.buy(scene, clients, self.plan).await?);
        }
        if scene == Scene::Paid {
            self.end_paying().await?;
        }
        Ok(runs)
    }

    /// Payments are another way through the services and the database, which nothing has heated up yet. And they make
    /// mails faster than svc-mailer sends them: after this it is as busy in the first run as in the last.
    async fn begin_paying(&mut self, clients: usize) -> anyhow::Result<()> {
        stack_command("start", MAILER).await?;
        self.processes = Processes::of_stack()?;
        println!("bench: heating up payments");
        self.buy(Scene::Paid, clients, Plan::HEAT_UP).await?;
        Ok(())
    }

    /// The mails that are left would take a share of the machine for many minutes, from measurements in which no mail is
    /// due. To wait for their end would take as long, so svc-mailer stops.
    async fn end_paying(&mut self) -> anyhow::Result<()> {
        stack_command("stop", MAILER).await?;
        println!("bench: svc-mailer is stopped from here on");
        self.processes = Processes::of_stack()?;
        Ok(())
    }

    async fn buy(&mut self, scene: Scene, clients: usize, plan: Plan) -> anyhow::Result<Run> {
        let api = if scene == Scene::Gateway {
            self.stack.gateway()
        } else {
            self.stack.checkout()
        };
        let purchase = if scene == Scene::Paid {
            Purchase::Paid
        } else {
            Purchase::Held
        };
        // New ones for each run: none can be sold out, and each run meets the same stock.
        let count = if scene == Scene::Events {
            MANY_EVENTS
        } else {
            1
        };
        let events = published_events(&self.stack, &self.organizer, count).await?;
        let duration = plan.warm_up + plan.measured;
        let tokens = self.buyers.tokens(clients, duration).await?;
        let run = load::run(api.base(), tokens, &events, purchase, plan, &self.processes).await?;
        tell(scene, &run);
        Ok(run)
    }
}

async fn published_events(
    stack: &Stack,
    organizer: &User,
    count: usize,
) -> anyhow::Result<Vec<PublishedEvent>> {
    let mut events = Vec::with_capacity(count);
    for _ in 0..count {
        events.push(
            stack
                .published_event(organizer, &[TicketType::general(SEATS)])
                .await?,
        );
    }
    Ok(events)
}

fn tell(scene: Scene, run: &Run) {
    let Run {
        clients,
        orders_per_s,
        p50_ms,
        p99_ms,
        pause_ms,
        failures,
        ..
    } = run;
    println!(
        "{:<10}{clients:>6} clients {orders_per_s:>9.0} orders/s   p50 {p50_ms:>8.2} ms   p99 {p99_ms:>8.2} ms   pause {pause_ms:>7.1} ms",
        scene.name()
    );
    for (reason, orders) in failures {
        println!("        {orders} orders failed: {reason}");
    }
}
