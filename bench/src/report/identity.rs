//! What was measured of svc-identity.

use std::fmt::Write as _;

use super::tables::{count, number};
use crate::figures::{Run, median};
use crate::identity::Identity;

/// The part of the bare verifications that sign-ins must reach.
pub(super) const TARGET: f64 = 0.85;

/// CPU per sign-in below this is left out, in µs.
const WORTH_NAMING_US: f64 = 10.0;

/// Sign-ins as a part of the bare verifications, from 0 to 1.
pub(super) fn share(identity: &Identity) -> Option<f64> {
    let sign_ins = median(identity.sign_ins.clone())?;
    Some(sign_ins.orders_per_s / bare(identity)?)
}

/// The figure in the middle; of an even number the slower one.
fn bare(identity: &Identity) -> Option<f64> {
    let mut figures = identity.bare_per_s.clone();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len().checked_sub(1)? / 2).copied()
}

pub(super) fn table(identity: &Identity) -> String {
    let mut text = "## Identity\nOf sign-ins, the share of what Argon2id alone does on the same cores, measured in \
         turn with them.\n\n\
         | | clients | per second | p50 ms | p99 ms | of Argon2id |\n|---|---|---|---|---|---|\n"
        .to_owned();
    let _ = writeln!(
        text,
        "| Argon2id verifications, nothing else | {} threads | {} | – | – | 100 % |",
        identity.threads,
        bare(identity).map_or("–".to_owned(), number),
    );
    let mut row = |what: &str, run: &Run, share: Option<f64>| {
        let share = share.map_or("–".to_owned(), |share| format!("{:.0} %", 100.0 * share));
        let _ = writeln!(
            text,
            "| {what} | {} | {} | {} | {} | {share} |",
            count(run.clients),
            number(run.orders_per_s),
            number(run.p50_ms),
            number(run.p99_ms),
        );
    };
    if let Some(run) = median(identity.sign_ins.clone()) {
        row("`POST /v1/sessions`", &run, share(identity));
    }
    let cpu = median(identity.sign_ins.clone()).map(|run| run.cpu_us);
    let mut levels: Vec<usize> = identity.reads.iter().map(|run| run.clients).collect();
    levels.dedup();
    for clients in levels {
        let runs = identity.reads.iter().filter(|run| run.clients == clients);
        if let Some(run) = median(runs.cloned().collect()) {
            row("`GET /v1/users/me`", &run, None);
        }
    }
    let _ = writeln!(
        text,
        "\nThe first check of a token takes a service {} µs, every other one {} µs: what was verified is remembered.\n",
        number(identity.first_check_us),
        number(identity.cached_check_us),
    );
    if let Some(cpu) = cpu {
        let used = cpu.iter().filter(|(_, used)| **used >= WORTH_NAMING_US);
        let used: Vec<_> = used
            .map(|(name, used)| format!("{name} {}", number(*used)))
            .collect();
        let _ = writeln!(
            text,
            "CPU per sign-in in µs, of all on the machine: {}.\n",
            used.join(", ")
        );
    }
    text
}
