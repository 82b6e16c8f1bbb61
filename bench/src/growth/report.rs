//! The figures as Markdown: for the terminal and for docs/GROWTH.md.

use std::fmt::{self, Write as _};
use std::time::Duration;

use bench::cpu::{CLIENT, ELSEWHERE};
use bench::figures::{Plan, Run};
use bench::machine::Machine;
use bench::report::{CPU_EXPLAINED, count, cpu_cells, cpu_heading, number};

use crate::outages::Outages;

/// 6 s of it are the session that the broker waits for.
const TAKE_OVER_S: f64 = 8.0;
const RESTART_S: f64 = 3.0;
const HAND_OVER_S: f64 = 1.0;
/// Of the orders per second after the fewest past orders. Two runs of one kind differ by as much.
const SALES_PERCENT: f64 = 80.0;
/// Of the CPU time per order of all servers after the fewest past orders.
const CPU_PERCENT: f64 = 120.0;

const INTRODUCTION: &str = "\
`make growth` writes this file, on a stack of its own; `make growth quick=1` stops at 10,000 orders, prints, and writes nothing.

All orders are of one event, of one free ticket each: they are paid when they are placed, and are paid orders like any other. svc-mailer is
stopped, since a paid order is a mail, and a million mails are another measurement.

For the outages an order is sent every 20 ms, under a key of its own, at a svc-checkout that lives. A figure is the longest time in which
none was answered with 201; orders that were on their way when it died do not count. *Take-over*: two instances, and the one that sells the event is
killed (kill -9); 6 s of it is the session that the broker waits for. *Restart*: the only instance is killed and started, both with
`infra/local/stack`, whose own start, twice, is in the figure. *Hand-over*: two instances, and the one that sells the event is stopped
(SIGTERM). *before*: the memory of the svc-checkout that sold the orders. *after*: of one that has just taken all over.
";

/// What was measured at one number of past orders.
pub(crate) struct AfterOutages {
    pub(crate) past: usize,
    pub(crate) before_mib: u64,
    pub(crate) outages: Outages,
    pub(crate) after_mib: u64,
}

impl fmt::Display for AfterOutages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outages {
            restart,
            take_over,
            hand_over,
        } = self.outages;
        let past = count(self.past);
        write!(
            f,
            "after {past} orders: take-over {take_over:.2?}, restart {restart:.2?}, hand-over {hand_over:.2?}, {} MiB before and {} MiB after",
            self.before_mib, self.after_mib
        )
    }
}

/// What was measured at one number of past orders.
pub(crate) struct AfterSales {
    pub(crate) past: usize,
    pub(crate) run: Run,
}

impl fmt::Display for AfterSales {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (past, run) = (count(self.past), &self.run);
        write!(
            f,
            "after {past} orders: {:.0} orders/s, p50 {:.1} ms, p99 {:.1} ms, pause {:.1} ms",
            run.orders_per_s, run.p50_ms, run.p99_ms, run.pause_ms
        )
    }
}

/// What is wanted, and what was measured of it.
struct Target {
    target: String,
    measured: Option<f64>,
    holds: fn(f64) -> bool,
}

/// Everything that was measured.
pub(crate) struct Report {
    /// `2026-05-01`.
    pub(crate) date: String,
    /// How it was started.
    pub(crate) command: String,
    pub(crate) machine: Machine,
    pub(crate) plan: Plan,
    /// By growing number of past orders, as the others.
    pub(crate) outages: Vec<AfterOutages>,
    pub(crate) sales: Vec<AfterSales>,
}

impl Report {
    pub(crate) fn file(&self) -> String {
        format!("# Growth\n\n{INTRODUCTION}\n{}", self.figures())
    }

    pub(crate) fn figures(&self) -> String {
        [self.setting(), self.targets(), self.outages(), self.sales()].concat()
    }

    fn setting(&self) -> String {
        format!(
            "## Setting\n| | |\n|---|---|\n| date | {} |\n| command | `{}` |\n| machine | {}; servers, services and clients on it together |\n\
             | orders per second | one run of {} s after {} s of warm-up |\n\n",
            self.date,
            self.command,
            self.machine,
            self.plan.measured.as_secs(),
            self.plan.warm_up.as_secs(),
        )
    }

    fn targets(&self) -> String {
        let mut text = "## Targets\n| target | measured | |\n|---|---|---|\n".to_owned();
        for Target {
            target,
            measured,
            holds,
        } in self.measured_targets()
        {
            let (shown, verdict) = match measured {
                Some(figure) if holds(figure) => (number(figure), "pass"),
                Some(figure) => (number(figure), "**fail**"),
                None => ("–".to_owned(), "not measured"),
            };
            let _ = writeln!(text, "| {target} | {shown} | {verdict} |");
        }
        text + "\n"
    }

    /// The targets that were measured and missed.
    pub(crate) fn missed(&self) -> Vec<String> {
        let targets = self.measured_targets().into_iter();
        let missed = targets.filter_map(|target| {
            let figure = target.measured.filter(|figure| !(target.holds)(*figure))?;
            Some(format!("{}: {}", target.target, number(figure)))
        });
        missed.collect()
    }

    fn measured_targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        let mut row = |target, measured, holds: fn(f64) -> bool| {
            targets.push(Target {
                target,
                measured,
                holds,
            });
        };
        let longest = |of: fn(&Outages) -> Duration| {
            let all = self.outages.iter().map(|after| of(&after.outages));
            all.max().map(|longest| longest.as_secs_f64())
        };
        row(
            format!("take-over, the longest: at most {TAKE_OVER_S} s"),
            longest(|outages| outages.take_over),
            |figure| figure <= TAKE_OVER_S,
        );
        row(
            format!("restart, the longest: at most {RESTART_S} s"),
            longest(|outages| outages.restart),
            |figure| figure <= RESTART_S,
        );
        row(
            format!("hand-over, the longest: at most {HAND_OVER_S} s"),
            longest(|outages| outages.hand_over),
            |figure| figure <= HAND_OVER_S,
        );
        let of_first = |of: fn(&Run) -> f64| match self.sales.as_slice() {
            [first, .., last] => Some(100.0 * of(&last.run) / of(&first.run)),
            _ => None,
        };
        row(
            format!(
                "orders/s after the most past orders: at least {SALES_PERCENT} % of those after the fewest"
            ),
            of_first(|run| run.orders_per_s),
            |figure| figure >= SALES_PERCENT,
        );
        row(
            format!(
                "CPU per order of all servers after the most: at most {CPU_PERCENT} % of that after the fewest"
            ),
            of_first(servers_us),
            |figure| figure <= CPU_PERCENT,
        );
        targets
    }

    fn outages(&self) -> String {
        let mut text = "## Outages\n| past orders | take-over, s | restart, s | hand-over, s | before, MiB | after, MiB |\n|---|---|---|---|---|---|\n"
            .to_owned();
        for after in &self.outages {
            let s = |outage: Duration| format!("{:.2}", outage.as_secs_f64());
            let Outages {
                restart,
                take_over,
                hand_over,
            } = after.outages;
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} |",
                count(after.past),
                s(take_over),
                s(restart),
                s(hand_over),
                after.before_mib,
                after.after_mib,
            );
        }
        text + "\n"
    }

    fn sales(&self) -> String {
        let mut text = "## Orders per second\n| past orders | clients | orders/s | p50 ms | p99 ms | pause ms |\n|---|---|---|---|---|---|\n".to_owned();
        let mut cpu = format!(
            "## CPU per order\n{CPU_EXPLAINED}\n\n{}",
            cpu_heading("past orders")
        );
        for AfterSales { past, run } in &self.sales {
            let past = count(*past);
            let _ = writeln!(
                text,
                "| {past} | {} | {} | {} | {} | {} |",
                count(run.clients),
                number(run.orders_per_s),
                number(run.p50_ms),
                number(run.p99_ms),
                number(run.pause_ms),
            );
            let _ = writeln!(cpu, "| {past} | {} |", cpu_cells(run));
        }
        format!("{text}\n{cpu}")
    }
}

/// CPU time per order of everything but the clients and what is none of ours.
fn servers_us(run: &Run) -> f64 {
    let servers = run.cpu_us.iter();
    let servers = servers.filter(|(name, _)| !matches!(name.as_str(), CLIENT | ELSEWHERE));
    servers.map(|(_, us)| us).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn report(take_over_s: u64, last_us: f64) -> Report {
        let after_outages = |past, take_over_s| AfterOutages {
            past,
            before_mib: 70,
            outages: Outages {
                restart: Duration::from_millis(1_500),
                take_over: Duration::from_secs(take_over_s),
                hand_over: Duration::from_millis(250),
            },
            after_mib: 60,
        };
        let after_sales = |past, us| AfterSales {
            past,
            run: Run {
                clients: 1_024,
                orders_per_s: 4_000.0,
                p50_ms: 42.0,
                p99_ms: 150.0,
                pause_ms: 20.0,
                cpu_us: BTreeMap::from([
                    ("kafka".to_owned(), us),
                    (CLIENT.to_owned(), 500.0),
                    (ELSEWHERE.to_owned(), 7.0),
                ]),
                failures: BTreeMap::new(),
            },
        };
        Report {
            date: "2026-05-01".to_owned(),
            command: "make growth".to_owned(),
            machine: Machine::here(),
            plan: Plan {
                warm_up: Duration::from_secs(3),
                measured: Duration::from_secs(10),
                runs: 1,
            },
            outages: vec![after_outages(1_000, 7), after_outages(995_000, take_over_s)],
            sales: vec![after_sales(10_000, 100.0), after_sales(900_000, last_us)],
        }
    }

    #[test]
    fn what_grows_fails() {
        let flat = report(7, 110.0).figures();
        assert!(flat.contains("at most 8 s | 7.00 | pass |"), "{flat}");
        assert!(flat.contains("after the fewest | 110 | pass |"), "{flat}");
        let grown = report(30, 300.0).figures();
        assert!(grown.contains("at most 8 s | 30.0 | **fail** |"), "{grown}");
        assert!(
            grown.contains("after the fewest | 300 | **fail** |"),
            "{grown}"
        );
    }

    #[test]
    fn what_is_missed_is_named() {
        assert_eq!(report(7, 110.0).missed(), Vec::<String>::new());
        assert_eq!(
            report(30, 110.0).missed(),
            ["take-over, the longest: at most 8 s: 30.0"]
        );
        assert_eq!(report(30, 300.0).missed().len(), 2);
    }

    #[test]
    fn what_was_not_measured_is_not_missed() {
        let mut quick = report(7, 300.0);
        quick.sales.truncate(1);
        assert!(
            quick.figures().contains("not measured"),
            "{}",
            quick.figures()
        );
        assert_eq!(quick.missed(), Vec::<String>::new());
    }

    #[test]
    fn each_number_of_past_orders_has_its_lines() {
        let figures = report(7, 110.0).figures();
        for line in [
            "| 995,000 | 7.00 | 1.50 | 0.25 | 70 | 60 |",
            "| 900,000 | 1,024 | 4,000 | 42.0 | 150 | 20.0 |",
            "| 900,000 | 500 | 110 | 0.00 | 0.00 | 0.00 | 0.00 | 7.00 |",
        ] {
            assert!(figures.contains(line), "{line} in {figures}");
        }
    }
}
