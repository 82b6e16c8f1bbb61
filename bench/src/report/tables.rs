//! The tables of a report.

use std::fmt::Write as _;

use super::{CROWD, Report, Scene, identity};
use crate::cpu::{CLIENT, ELSEWHERE};
use crate::figures::{Plan, Run};
use crate::machine::Machine;

/// The programs whose CPU time has a column of its own, after [`CLIENT`]; the rest of the stack is summed up.
const SHOWN: [&str; 4] = ["kafka", "cassandra", "svc-checkout", "gateway"];

impl Report {
    pub(super) fn setting(&self) -> String {
        let Plan {
            warm_up,
            measured,
            runs,
        } = self.plan;
        let Machine {
            cores,
            cpu,
            memory_gib,
            kernel,
            load,
        } = &self.machine;
        format!(
            "## Setting\n| | |\n|---|---|\n| date | {} |\n| command | `{}` |\n\
             | machine | {cores} cores of {cpu}, {memory_gib} GiB, Linux {kernel}; servers, services and clients on it together |\n\
             | load average before | {load} |\n\
             | runs | median of {runs}, each {} s after {} s of warm-up |\n\
             | settings | one broker, one CQL node, {} partitions by event, replication 1, LOCAL_QUORUM, acks=all, at most 2,000 commands per transaction |\n\n",
            self.date,
            self.command,
            measured.as_secs(),
            warm_up.as_secs(),
            self.partitions,
        )
    }

    pub(super) fn targets(&self) -> String {
        let mut text = "## Targets\n| target | measured | |\n|---|---|---|\n".to_owned();
        let mut row = |target: &str, measured: Option<f64>, holds: fn(f64) -> bool| {
            let (shown, verdict) = match measured {
                Some(figure) if holds(figure) => (number(figure), "pass"),
                Some(figure) => (number(figure), "**fail**"),
                None => ("–".to_owned(), "not measured"),
            };
            let _ = writeln!(text, "| {target} | {shown} | {verdict} |");
        };
        let crowd = self.median(Scene::Service, CROWD);
        let alone = self.median(Scene::Service, 1);
        let share = |of: Option<&Run>, whole: Option<&Run>| {
            Some(100.0 * of?.orders_per_s / whole?.orders_per_s)
        };
        row(
            "service, 1,024 clients: at least 4,000 orders/s",
            crowd.as_ref().map(|run| run.orders_per_s),
            |figure| figure >= 4_000.0,
        );
        row(
            "service, 1,024 clients: p99 below 300 ms",
            crowd.as_ref().map(|run| run.p99_ms),
            |figure| figure < 300.0,
        );
        row(
            "service, 1,024 clients: at least 40 % of the ceiling",
            share(crowd.as_ref(), self.median(Scene::Ceiling, CROWD).as_ref()),
            |figure| figure >= 40.0,
        );
        row(
            "a hundred events, 1,024 clients: at least 80 % of one hot event",
            share(self.median(Scene::Events, CROWD).as_ref(), crowd.as_ref()),
            |figure| figure >= 80.0,
        );
        row(
            "paid, 1,024 clients: at least 1,500 orders/s",
            self.median(Scene::Paid, CROWD).map(|run| run.orders_per_s),
            |figure| figure >= 1_500.0,
        );
        row(
            "service, 1 client: median below 15 ms",
            alone.as_ref().map(|run| run.p50_ms),
            |figure| figure < 15.0,
        );
        row(
            "sign-ins: at least 85 of the bare verifications, in %",
            identity::share(&self.identity).map(|share| 100.0 * share),
            |figure| figure >= 100.0 * identity::TARGET,
        );
        text + "\n"
    }

    pub(super) fn medians(&self) -> String {
        let mut text = "## Orders per second\n| clients | | orders/s | p50 ms | p99 ms | of the ceiling |\n|---|---|---|---|---|---|\n".to_owned();
        for (scene, run) in self.measured() {
            let ceiling = self.median(Scene::Ceiling, run.clients);
            let share = ceiling.map_or("–".to_owned(), |ceiling| {
                format!("{:.0} %", 100.0 * run.orders_per_s / ceiling.orders_per_s)
            });
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {share} |",
                count(run.clients),
                scene.name(),
                number(run.orders_per_s),
                number(run.p50_ms),
                number(run.p99_ms),
            );
        }
        text + "\n"
    }

    pub(super) fn cpu(&self) -> String {
        let mut text = format!(
            "## CPU per order\n{CPU_EXPLAINED}\n\n{}",
            cpu_heading("clients |")
        );
        for (scene, run) in self.measured() {
            let (clients, scene) = (count(run.clients), scene.name());
            let _ = writeln!(text, "| {clients} | {scene} | {} |", cpu_cells(&run));
        }
        text + "\n"
    }

    pub(super) fn all_runs(&self) -> String {
        let mut text =
            "## Every run\n| clients | | orders/s | p99 ms | pause ms |\n|---|---|---|---|---|\n"
                .to_owned();
        for (scene, median) in self.measured() {
            let runs = self
                .runs
                .iter()
                .filter(|(at, run)| *at == scene && run.clients == median.clients);
            let runs: Vec<&Run> = runs.map(|(_, run)| run).collect();
            let each = |figure: fn(&Run) -> f64| {
                let figures = runs.iter().map(|run| number(figure(run)));
                figures.collect::<Vec<_>>().join(" · ")
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                count(median.clients),
                scene.name(),
                each(|run| run.orders_per_s),
                each(|run| run.p99_ms),
                each(|run| run.pause_ms),
            );
        }
        text + "\n"
    }

    pub(super) fn failures(&self) -> String {
        if self.is_clean() {
            return "No order failed, and no call of svc-identity.\n".to_owned();
        }
        let mut text =
            "## Failed orders\n| clients | | reason | orders |\n|---|---|---|---|\n".to_owned();
        for (scene, run) in &self.runs {
            for (reason, orders) in &run.failures {
                let _ = writeln!(
                    text,
                    "| {} | {} | {reason} | {orders} |",
                    count(run.clients),
                    scene.name()
                );
            }
        }
        for run in self.identity.sign_ins.iter().chain(&self.identity.reads) {
            for (reason, calls) in &run.failures {
                let clients = count(run.clients);
                let _ = writeln!(text, "| {clients} | identity | {reason} | {calls} |");
            }
        }
        text
    }
}

/// What the columns of [`cpu_heading`] are.
pub const CPU_EXPLAINED: &str = "In µs, of the same runs. *other* is the rest of the stack, *elsewhere* whatever else \
     the machine did: when it is not close to nothing, the figures above are disturbed.";

/// The first two lines of a table of CPU time per order: these columns, and those of [`cpu_cells`].
pub fn cpu_heading(columns: &str) -> String {
    let columns = format!(
        "{columns} | {CLIENT} | {} | other | {ELSEWHERE}",
        SHOWN.join(" | ")
    );
    let rule = "---|".repeat(columns.split('|').count());
    format!("| {columns} |\n|{rule}\n")
}

/// The CPU time per order of a run, in µs.
pub fn cpu_cells(run: &Run) -> String {
    let of = |name: &str| run.cpu_us.get(name).copied().unwrap_or_default();
    let named = SHOWN.iter().chain(&[CLIENT, ELSEWHERE]);
    let other = run.cpu_us.values().sum::<f64>() - named.map(|name| of(name)).sum::<f64>();
    let shown = SHOWN.map(of).into_iter();
    let cells = [of(CLIENT)].into_iter().chain(shown);
    let cells = cells.chain([other, of(ELSEWHERE)]).map(number);
    cells.collect::<Vec<_>>().join(" | ")
}

/// `1,024`.
pub fn count(value: usize) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three digits or more: `4.25`, `42.5`, `425`, `4,250`.
pub fn number(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a figure of a few digits, not negative"
    )]
    match value {
        ..0.0 => "0".to_owned(),
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => count(value.round() as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(
            [0.0, 4.256, 42.56, 425.6, 4_256.0].map(number),
            ["0.00", "4.26", "42.6", "426", "4,256"]
        );
        assert_eq!(count(1_234_567), "1,234,567");
    }
}
