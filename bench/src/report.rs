//! The figures as Markdown: for the terminal and for docs/BENCHMARKS.md.

mod identity;
mod tables;

use crate::figures::{Plan, Run, median};
use crate::identity::Identity;
use crate::machine::Machine;
use clap::ValueEnum;
pub use tables::{CPU_EXPLAINED, count, cpu_cells, cpu_heading, number};

/// The level at which the throughput is judged.
pub const CROWD: usize = 1024;
const HEADLINE: &str = "## Headline";
const PAST: &str = "## Past figures";
const HEADLINE_COLUMNS: &str = "\
| date | machine | orders/s at the service, 1,024 clients | p99 ms | orders/s through the gateway | ceiling orders/s | one client, p50 ms |
|---|---|---|---|---|---|---|
";

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scene {
    /// Orders of one hot event at svc-checkout's own port.
    Service,
    /// The same through the public origin.
    Gateway,
    /// Orders of a hundred events at svc-checkout's own port.
    Events,
    /// Orders of one hot event that are paid, at svc-checkout's own port.
    Paid,
    /// The program without us.
    Ceiling,
}

impl Scene {
    /// In the order of the tables.
    pub const ALL: [Self; 5] = [
        Self::Service,
        Self::Gateway,
        Self::Events,
        Self::Paid,
        Self::Ceiling,
    ];

    /// Name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Gateway => "gateway",
            Self::Events => "100 events",
            Self::Paid => "paid",
            Self::Ceiling => "ceiling",
        }
    }

    /// Whether every number of clients is measured, or the crowd only.
    pub fn is_for_all(self) -> bool {
        !matches!(self, Self::Events | Self::Paid)
    }
}

/// Everything that was measured.
pub struct Report {
    /// `2026-05-01`.
    pub date: String,
    /// How it was started.
    pub command: String,
    /// Where.
    pub machine: Machine,
    /// How long and how often.
    pub plan: Plan,
    /// Partitions of every topic by event.
    pub partitions: i32,
    /// All runs.
    pub runs: Vec<(Scene, Run)>,
    /// Of svc-identity.
    pub identity: Identity,
}

impl Report {
    /// The whole file. What `old`, the file so far, says in its headline is kept among the past figures.
    pub fn file(&self, old: &str) -> String {
        let mut past = rows(old, PAST);
        past.extend(rows(old, HEADLINE));
        let past = if past.is_empty() {
            "None yet.\n".to_owned()
        } else {
            format!("{HEADLINE_COLUMNS}{}", past.concat())
        };
        format!(
            "# Benchmarks\n\n{INTRODUCTION}\n{HEADLINE}\n{HEADLINE_COLUMNS}{}\n{}\n{PAST}\n{past}",
            self.headline(),
            self.figures(),
        )
    }

    /// The tables of this time.
    pub fn figures(&self) -> String {
        [
            self.setting(),
            self.targets(),
            self.medians(),
            self.cpu(),
            identity::table(&self.identity),
            self.all_runs(),
            self.failures(),
        ]
        .concat()
    }

    /// Whether every order was placed, and every call of svc-identity answered.
    pub fn is_clean(&self) -> bool {
        let orders = self.runs.iter().map(|(_, run)| run);
        let identity = self.identity.sign_ins.iter().chain(&self.identity.reads);
        orders.chain(identity).all(|run| run.failures.is_empty())
    }

    fn median(&self, scene: Scene, clients: usize) -> Option<Run> {
        let fits = |run: &&(Scene, Run)| run.0 == scene && run.1.clients == clients;
        median(
            self.runs
                .iter()
                .filter(fits)
                .map(|(_, run)| run.clone())
                .collect(),
        )
    }

    /// The median of every level and scene that was measured.
    fn measured(&self) -> impl Iterator<Item = (Scene, Run)> {
        let mut levels: Vec<usize> = self.runs.iter().map(|(_, run)| run.clients).collect();
        levels.sort_unstable();
        levels.dedup();
        levels
            .into_iter()
            .flat_map(|clients| Scene::ALL.map(|scene| (scene, clients)))
            .filter_map(|(scene, clients)| Some((scene, self.median(scene, clients)?)))
    }

    fn headline(&self) -> String {
        let figure = |scene, clients, of: fn(&Run) -> f64| {
            self.median(scene, clients)
                .map_or("–".to_owned(), |run| number(of(&run)))
        };
        format!(
            "| {} | {} cores, {} | {} | {} | {} | {} | {} |\n",
            self.date,
            self.machine.cores,
            self.machine.cpu,
            figure(Scene::Service, CROWD, |run| run.orders_per_s),
            figure(Scene::Service, CROWD, |run| run.p99_ms),
            figure(Scene::Gateway, CROWD, |run| run.orders_per_s),
            figure(Scene::Ceiling, CROWD, |run| run.orders_per_s),
            figure(Scene::Service, 1, |run| run.p50_ms),
        )
    }
}

const INTRODUCTION: &str = "\
`make bench` writes this file, on a stack of its own. `make bench quick=1` measures for a few
seconds, prints, and writes nothing.

An order is `POST /v1/orders` for one ticket of one hot event, with a signed token of a buyer of its own per client
and a fresh `Idempotency-Key`; it counts when 201 has come, which is after its rows were written. The clients are a
closed loop: each sends its next order when the last one is answered. *service* is svc-checkout's own port, *gateway*
the public origin. *100 events* spreads the same orders over a hundred events. *paid* is an order and its payment with a
simulated card, counted when the second answer has brought the ticket; svc-mailer has more mails to send than it can
from the first of these runs on, and is stopped after the last one. The *pause* is the longest time in which nobody got
an answer: the disk of a shared machine stands still at times, and then that is the p99.

The *ceiling* is a program of its own (`bench/src/ceiling/`) that shares no code with svc-checkout: it sends the same
records per order to topics of the same kind, in transactions of all that wait, and writes the same two rows before the
order counts. It has no HTTP, no tokens, no decision, and does not read the commands back. What it reaches is what
Kafka and the database allow on this machine with this client.

What was changed to get here, with the figures before and after, CPU by process and what `perf` showed, is in
[ADR 4](adr/0004-orders-sold-together-lie-together.md) and [ADR 5](adr/0005-the-buyers-of-a-year-share-partitions.md).
";

/// The rows of the table below `heading`.
fn rows(file: &str, heading: &str) -> Vec<String> {
    let Some((_, below)) = file.split_once(&format!("{heading}\n")) else {
        return Vec::new();
    };
    let section = below.split("\n## ").next().unwrap_or_default();
    // The first two lines are the columns and their rule.
    let table = section.lines().filter(|line| line.starts_with('|')).skip(2);
    table.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    fn report(date: &str) -> Report {
        let run = |orders_per_s| Run {
            clients: CROWD,
            orders_per_s,
            p50_ms: 42.0,
            p99_ms: 150.0,
            pause_ms: 20.0,
            cpu_us: BTreeMap::from([("kafka".to_owned(), 100.0)]),
            failures: BTreeMap::new(),
        };
        Report {
            date: date.to_owned(),
            command: "make bench".to_owned(),
            machine: Machine {
                cores: 2,
                cpu: "Fast 9000".to_owned(),
                memory_gib: 8,
                kernel: "6.1".to_owned(),
                load: "0.10".to_owned(),
            },
            plan: Plan {
                warm_up: Duration::from_secs(3),
                measured: Duration::from_secs(10),
                runs: 1,
            },
            partitions: 6,
            runs: vec![
                (Scene::Service, run(3_000.0)),
                (Scene::Ceiling, run(12_000.0)),
            ],
            identity: Identity {
                threads: 2,
                bare_per_s: vec![100.0],
                sign_ins: vec![run(90.0)],
                reads: vec![run(9_000.0)],
                first_check_us: 50.0,
                cached_check_us: 0.5,
            },
        }
    }

    #[test]
    fn the_share_of_the_ceiling_is_shown() {
        let figures = report("2026-05-01").figures();
        assert!(
            figures.contains("| 1,024 | service | 3,000 | 42.0 | 150 | 25 % |"),
            "{figures}"
        );
        assert!(
            figures.contains("at least 4,000 orders/s | 3,000 | **fail** |"),
            "{figures}"
        );
        assert!(
            figures.contains("median below 15 ms | – | not measured |"),
            "{figures}"
        );
    }

    #[test]
    fn sign_ins_are_held_against_the_passwords_alone() {
        let figures = report("2026-05-01").figures();
        assert!(
            figures.contains("| `POST /v1/sessions` | 1,024 | 90.0 | 42.0 | 150 | 90 % |"),
            "{figures}"
        );
        assert!(
            figures.contains("of the bare verifications, in % | 90.0 | pass |"),
            "{figures}"
        );
    }

    #[test]
    fn headlines_become_past_figures() {
        let first = report("2026-05-01").file("");
        assert!(first.ends_with("## Past figures\nNone yet.\n"));
        let second = report("2026-05-02").file(&first);
        let third = report("2026-05-03").file(&second);
        assert_eq!(rows(&third, HEADLINE).len(), 1);
        let past: Vec<String> = rows(&third, PAST)
            .iter()
            .map(|row| row[2..12].to_owned())
            .collect();
        assert_eq!(past, ["2026-05-01", "2026-05-02"]);
    }
}
