//! `make bench-crowd`: many more clients in one moment than svc-checkout lets wait. How many are turned away, how soon,
//! and what that costs in memory.

mod rush;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bench::cpu::Processes;
use bench::machine::Machine;
use bench::process::Process;
use bench::users::Buyers;
use clap::Parser;
use e2e::{Role, Service, Stack, TicketType, orders};
use hyper::StatusCode;
use hyper::body::Bytes;
use tokio::time::sleep;

use crate::rush::{Answer, Crowd};

const CHECKOUT: &str = "svc-checkout";
/// So many commands wait at one svc-checkout at most (docs/BOX_OFFICE.md).
const MAY_WAIT: usize = 2_048;
/// Within this time the surplus shall be turned away, in s, as the service's metrics name it.
const AT_ONCE: &str = "0.05";
/// By this a round may exceed the memory with all clients connected. Measured with 10,000 clients: some 200 MiB over what was
/// there before, rounds of warm-up included (docs/BOX_OFFICE.md); what a queue without bound takes is more by far.
const MAY_GROW_MIB: u64 = 256;
/// What catalog allows at most: no rush can sell it out.
const SEATS: u32 = 1_000_000;
/// They share the orders: what is measured is the door, not the registration.
const BUYERS: usize = 64;
/// Beside its connections a process has some files open.
const OTHER_FILES: usize = 256;
/// The allocator gives back what it does not need after a while.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// All rounds take less.
const ALL_ROUNDS: Duration = Duration::from_secs(5 * 60);

/// Many more clients in one moment than svc-checkout lets wait
#[derive(Parser)]
struct Arguments {
    /// Clients that order in the same moment
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Rounds that count
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Rounds before them, which do not
    #[arg(long, default_value_t = 3)]
    warm_up: usize,
}

// One thread: the clients shall leave the cores to the servers.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match measure(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-crowd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let machine = Machine::here();
    let stack = Stack::try_from_env()?;
    let service = Process(Processes::of_stack()?.pid(CHECKOUT)?);
    for process in [service, Process(std::process::id())] {
        process.may_open(arguments.clients + OTHER_FILES)?;
    }
    let mut buyers = Buyers::register(&stack, BUYERS).await?;
    let tokens = buyers.tokens(BUYERS, ALL_ROUNDS).await?;
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event = stack
        .published_event(&organizer, &[TicketType::general(SEATS)])
        .await?;
    let order = orders::order_body(event.id, &[(event.ticket_types[0], 1)]);
    let order = Bytes::from(order.to_string());

    println!(
        "\n{machine}; {} clients and all servers on it together\n",
        arguments.clients
    );
    let before = service.memory_mib()?;
    let mut crowd = Crowd::gather(stack.checkout().base(), arguments.clients).await?;
    for _ in 0..arguments.warm_up {
        crowd.rush(&order, tokens, None).await?;
    }
    let connected = service.memory_mib()?;
    println!(
        "| | 201 | 503 | all answered, s | 503: p50 ms | p99 ms | of them within 50 ms in the service | memory at most, MiB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    // Whoever waits for a broker that hangs makes room for nobody, so exactly the surplus is turned away.
    let frozen = Some(arguments.clients.saturating_sub(MAY_WAIT));
    let rounds = std::iter::repeat_n(None, arguments.rounds).chain([frozen]);
    let mut missed = Vec::new();
    for (round, frozen) in (1..).zip(rounds) {
        service.forget_peak()?;
        let known = TurnedAway::count(&stack).await?;
        let answers = crowd.rush(&order, tokens, frozen).await?;
        let peak = service.peak_mib()?;
        let at_once = TurnedAway::count(&stack).await?.since(known);
        tell(frozen.is_some(), &answers, at_once, peak)?;
        let of_round = misses(at_once, connected, peak);
        missed.extend(of_round.iter().map(|miss| format!("round {round}: {miss}")));
    }
    println!(
        "\np50 and p99 are the clients' own: their wait for a core of this machine is in them. In the service: from when a request is read to its answer."
    );
    drop(crowd);
    sleep(AFTERWARDS).await;
    println!(
        "Memory of svc-checkout: {before} MiB before, {connected} MiB with {} connections after {} rounds, {} MiB {} s after the last one.",
        arguments.clients,
        arguments.warm_up,
        service.memory_mib()?,
        AFTERWARDS.as_secs(),
    );
    ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
    Ok(())
}

/// What a round misses of the targets: the surplus is turned away at once, and memory stays within its bound.
fn misses(turned_away: TurnedAway, connected_mib: u64, peak_mib: u64) -> Vec<String> {
    let TurnedAway { all, at_once } = turned_away;
    let mut missed = Vec::new();
    if at_once < all {
        missed.push(format!(
            "{} of {all} 503 took over {AT_ONCE} s",
            all - at_once
        ));
    }
    if peak_mib > connected_mib + MAY_GROW_MIB {
        missed.push(format!(
            "{peak_mib} MiB of memory, over {connected_mib} with all connections and {MAY_GROW_MIB} for a round"
        ));
    }
    missed
}

/// One line of the table. Whatever is neither 201 nor a 503 that says when to come back is an error.
fn tell(frozen: bool, answers: &[Answer], at_once: TurnedAway, peak: u64) -> anyhow::Result<()> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut turned_away: Vec<Duration> = Vec::new();
    for answer in answers {
        let kind = format!("{} {}", answer.status.as_u16(), answer.code);
        *kinds.entry(kind).or_default() += 1;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            ensure!(answer.has_retry_after, "a 503 without Retry-After");
            turned_away.push(answer.took);
        }
    }
    turned_away.sort_unstable();
    let ms = |percent: usize| {
        let took = turned_away.get(turned_away.len().saturating_sub(1) * percent / 100);
        took.map_or("–".to_owned(), |took| {
            format!("{:.1}", took.as_secs_f64() * 1e3)
        })
    };
    let longest = answers.iter().map(|answer| answer.took).max();
    let count = |kind| kinds.get(kind).copied().unwrap_or_default();
    println!(
        "| {} | {} | {} | {:.2} | {} | {} | {} of {} | {peak} |",
        if frozen { "the broker hangs" } else { "" },
        count("201 "),
        count("503 overloaded"),
        longest.unwrap_or_default().as_secs_f64(),
        ms(50),
        ms(99),
        at_once.at_once,
        at_once.all,
    );
    let others = kinds
        .keys()
        .find(|kind| !matches!(kind.as_str(), "201 " | "503 overloaded"));
    ensure!(others.is_none(), "neither sold nor turned away: {kinds:?}");
    Ok(())
}

/// What svc-checkout has counted of 503 to orders, by its own clock.
#[derive(Debug, Clone, Copy, Default)]
struct TurnedAway {
    all: u64,
    at_once: u64,
}

impl TurnedAway {
    async fn count(stack: &Stack) -> anyhow::Result<Self> {
        let metrics = stack.admin_port(Service::Checkout).get("/metrics");
        let metrics = metrics.send().await?.text();
        let figure = |name: &str, label: &str| {
            let wanted = ["route=\"/v1/orders\"", "status=\"503\"", label];
            let line = metrics.lines().find(|line| {
                line.starts_with(name) && wanted.iter().all(|label| line.contains(label))
            });
            let Some(line) = line else { return Ok(0) };
            let figure = line.rsplit(' ').next().unwrap_or_default();
            figure.parse().with_context(|| line.to_owned())
        };
        let name = "http_request_duration_seconds";
        Ok(Self {
            all: figure(&format!("{name}_count{{"), "")?,
            at_once: figure(&format!("{name}_bucket{{"), &format!("le=\"{AT_ONCE}\""))?,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            all: self.all - before.all,
            at_once: self.at_once - before.at_once,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_or_large_is_missed() {
        let round = |all, at_once| TurnedAway { all, at_once };
        assert_eq!(misses(round(100, 100), 400, 600), Vec::<String>::new());
        assert_eq!(misses(round(0, 0), 400, 400), Vec::<String>::new());
        assert_eq!(
            misses(round(100, 97), 400, 600),
            ["3 of 100 503 took over 0.05 s"]
        );
        let large = misses(round(100, 100), 400, 657);
        assert_eq!(large.len(), 1, "{large:?}");
    }
}
