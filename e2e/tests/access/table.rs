//! docs/ACCESS.md, and the calls that the services describe.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use e2e::Service;
use serde_json::Value;

use crate::callers::CALLERS;

/// A call, what it is about, and what each caller is answered.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// `GET /v1/orders/{id}`.
    pub(crate) call: String,
    pub(crate) about: String,
    /// In the order of [`CALLERS`].
    pub(crate) statuses: [u16; CALLERS.len()],
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The rows of the page.
pub(crate) fn rows() -> anyhow::Result<Vec<Row>> {
    let text = fs::read_to_string(root().join("docs/ACCESS.md"))?;
    let rows: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    rows.into_iter()
        .map(|line| row(line).with_context(|| line.to_owned()))
        .collect()
}

fn row(line: &str) -> anyhow::Result<Row> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [call, about, statuses @ ..] = &cells[..] else {
        anyhow::bail!("a call and what it is about");
    };
    let statuses: Vec<u16> = statuses
        .iter()
        .map(|status| status.parse())
        .collect::<Result<_, _>>()?;
    let count = statuses.len();
    Ok(Row {
        call: call.trim_matches('`').to_owned(),
        about: (*about).to_owned(),
        statuses: statuses
            .try_into()
            .ok()
            .with_context(|| format!("{count} statuses"))?,
    })
}

/// The service that describes each call.
pub(crate) fn described() -> anyhow::Result<Vec<(Service, String)>> {
    let mut calls = Vec::new();
    for service in Service::ALL {
        let file = root().join(service.name()).join("openapi.json");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let document: Value = serde_json::from_str(&text)?;
        for (path, methods) in document["paths"].as_object().context("paths")? {
            for method in methods.as_object().context("methods")?.keys() {
                calls.push((service, format!("{} {path}", method.to_uppercase())));
            }
        }
    }
    Ok(calls)
}

#[test]
fn every_call_has_a_row_and_every_row_is_a_call() -> anyhow::Result<()> {
    let described: BTreeSet<String> = described()?.into_iter().map(|(_, call)| call).collect();
    let rows: BTreeSet<String> = rows()?.into_iter().map(|row| row.call).collect();
    let missing: Vec<_> = described.difference(&rows).collect();
    ensure!(
        missing.is_empty(),
        "docs/ACCESS.md does not say who may call {missing:?}"
    );
    let gone: Vec<_> = rows.difference(&described).collect();
    ensure!(
        gone.is_empty(),
        "no service describes {gone:?} of docs/ACCESS.md"
    );
    Ok(())
}
