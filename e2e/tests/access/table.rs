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

/// What the services answer without describing it, for it is for each other: the routes in the source that are in no document.
pub(crate) fn undescribed() -> anyhow::Result<Vec<(Service, String)>> {
    let described = described()?;
    let mut calls = Vec::new();
    for service in Service::ALL {
        let file = root().join(service.name()).join("src/routes.rs");
        let source = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        calls.extend(routed(&source)?.into_iter().map(|call| (service, call)));
    }
    calls.retain(|call| !described.contains(call));
    Ok(calls)
}

/// The calls of each `.route("/path", get(…).put(…))`.
fn routed(source: &str) -> anyhow::Result<Vec<String>> {
    const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];
    let mut calls = Vec::new();
    for route in source.split(".route(").skip(1) {
        let (_, rest) = route.split_once('"').context("a path")?;
        let (path, rest) = rest.split_once('"').context("the end of a path")?;
        let mut open = 1;
        let end = rest.find(|character: char| {
            open += i32::from(character == '(') - i32::from(character == ')');
            open == 0
        });
        let handlers = &rest[..end.context("the end of a route")?];
        // What stands before each bracket.
        let words: Vec<&str> = handlers
            .split('(')
            .filter_map(|before| {
                before
                    .rsplit(|character: char| !character.is_alphabetic())
                    .next()
            })
            .collect();
        let methods: Vec<_> = METHODS
            .iter()
            .filter(|method| words.contains(method))
            .collect();
        ensure!(!methods.is_empty(), "no method of {path} in {handlers}");
        calls.extend(
            methods
                .iter()
                .map(|method| format!("{} {path}", method.to_uppercase())),
        );
    }
    Ok(calls)
}

#[test]
fn routes_are_read_from_the_source() -> anyhow::Result<()> {
    let source = r#"
        .route("/a/{id}", get(a::b::list).delete(a::put))
        .route_layer(layer(get))
        .route(
            "/b",
            put(b::get),
        )"#;
    assert_eq!(routed(source)?, ["GET /a/{id}", "DELETE /a/{id}", "PUT /b"]);
    Ok(())
}

#[test]
fn every_call_has_a_row_and_every_row_is_a_call() -> anyhow::Result<()> {
    let calls = described()?.into_iter().chain(undescribed()?);
    let described: BTreeSet<String> = calls.map(|(_, call)| call).collect();
    let rows: BTreeSet<String> = rows()?.into_iter().map(|row| row.call).collect();
    let missing: Vec<_> = described.difference(&rows).collect();
    ensure!(
        missing.is_empty(),
        "docs/ACCESS.md does not say who may call {missing:?}"
    );
    let gone: Vec<_> = rows.difference(&described).collect();
    ensure!(gone.is_empty(), "no service has {gone:?} of docs/ACCESS.md");
    Ok(())
}
