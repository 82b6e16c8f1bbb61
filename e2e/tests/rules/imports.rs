//! Who may know whom. The table of docs/ARCHITECTURE.md, checked.

use std::collections::BTreeSet;
use std::path::Path;

use crate::files::{files, name_of, none, read, services, shown};
use crate::source::{ASYNC, paths};

struct Layer {
    folder: &'static str,
    never: &'static [&'static str],
    because: &'static str,
}

const LAYERS: &[Layer] = &[
    Layer {
        folder: "domain",
        never: &[
            ASYNC,
            "std::env",
            "std::fs",
            "std::net",
            "std::process",
            "std::thread",
            "std::time::Instant",
            "std::time::SystemTime",
        ],
        because: "rules are pure: the same arguments give the same decision, in a test and in a replay",
    },
    Layer {
        folder: "store",
        never: &["axum", "rdkafka"],
        because: "the store is CQL and nothing else",
    },
    Layer {
        folder: "http",
        never: &["scylla", "rdkafka"],
        because: "a handler asks the store and the box office",
    },
    Layer {
        folder: "consume",
        never: &["axum", "scylla"],
        because: "a consumer asks the store",
    },
    Layer {
        folder: "jobs",
        never: &["axum", "scylla"],
        because: "a job asks the store",
    },
    Layer {
        folder: "box_office",
        never: &["axum", "scylla"],
        because: "the box office decides from its own state; the projection goes through the store",
    },
    Layer {
        folder: "audit",
        never: &[
            "axum",
            "crate::box_office",
            "crate::consume",
            "crate::domain",
            "crate::payment",
            "crate::planted",
            "crate::rebuild",
            "crate::store",
        ],
        because: "an auditor shares nothing with the audited: a mistake of one must not be the other's",
    },
];

/// All that domain may use; a crate in this list computes and does nothing else.
const DOMAIN_MAY_USE: &[&str] = &[
    "alloc",
    "core",
    "crate::domain",
    // False when it is compiled, but for the audit's own test.
    "crate::planted",
    "jiff",
    // A list that is compiled in, and a search in it.
    "passwords::analyzer",
    "platform::auth::Role",
    "platform::auth::RoleSet",
    "platform::clock",
    "platform::ids",
    "platform::money",
    "platform::person",
    "platform::text",
    // Sets of numbers.
    "roaring",
    "std",
    "thiserror",
    "time",
    "unicode_normalization",
    // Takes an address apart, and opens nothing.
    "url",
    "uuid",
];

fn is_within(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The files of a layer, those of its tests left out, and the paths that they name.
fn layer(service: &Path, folder: &str) -> Vec<(String, BTreeSet<String>)> {
    let source = service.join("src");
    let mut found = files(&source.join(folder), "rs");
    found.extend(Some(source.join(folder).with_extension("rs")).filter(|file| file.exists()));
    found.retain(|file| !file.ends_with("tests.rs"));
    found
        .into_iter()
        .map(|file| (shown(&file), paths(&file, &source)))
        .collect()
}

/// The crates that a service is built with, as code names them.
fn dependencies(service: &Path) -> BTreeSet<String> {
    let manifest = read(&service.join("Cargo.toml"));
    let section = manifest
        .split_once("[dependencies]")
        .map_or("", |(_, rest)| rest);
    let section = section.split("\n[").next().unwrap_or_default();
    let names = section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next());
    names
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

#[test]
fn no_layer_uses_what_it_must_not_know() {
    let mut broken = Vec::new();
    for service in services() {
        for Layer {
            folder,
            never,
            because,
        } in LAYERS
        {
            for (file, paths) in layer(&service, folder) {
                for path in &paths {
                    if never.iter().any(|never| is_within(path, never)) {
                        broken.push(format!("{file} uses {path}: {because}"));
                    }
                }
            }
        }
    }
    none(
        &broken,
        "a layer keeps to the table in docs/ARCHITECTURE.md",
    );
}

#[test]
fn domain_uses_what_computes_only() {
    let mut broken = Vec::new();
    for service in services() {
        let dependencies = dependencies(&service);
        for (file, paths) in layer(&service, "domain") {
            for path in &paths {
                let root = path.split("::").next().unwrap_or_default();
                let is_foreign = root == "crate" || dependencies.contains(root);
                let is_allowed = DOMAIN_MAY_USE
                    .iter()
                    .any(|allowed| is_within(path, allowed));
                let reads_clock = path == "Timestamp::now" || path.ends_with("::Timestamp::now");
                if is_foreign && !is_allowed || reads_clock {
                    broken.push(format!("{file} uses {path}"));
                }
            }
        }
    }
    none(
        &broken,
        "domain takes time and everything else that is outside as an argument",
    );
}

#[test]
fn a_noun_does_not_call_another_nouns_handler() {
    let mut broken = Vec::new();
    for service in services() {
        for (file, paths) in layer(&service, "http") {
            let own = file
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .trim_end_matches(".rs");
            for path in &paths {
                let parts: Vec<&str> = path.split("::").collect();
                // Functions are lower case and types are not: sharing a shape is fine.
                if let ["crate", "http", noun, handler] = parts[..]
                    && noun != own
                    && is_handler(&service, noun, handler)
                {
                    broken.push(format!("{file} uses {path}"));
                }
            }
        }
    }
    none(
        &broken,
        "what two nouns share lies in a file of its own, not in a handler's",
    );
}

/// A handler is a function that waits, in a file with routes; a file without them serves several nouns.
fn is_handler(service: &Path, noun: &str, name: &str) -> bool {
    let file = service
        .join("src")
        .join("http")
        .join(noun)
        .with_extension("rs");
    let text = if file.exists() {
        read(&file)
    } else {
        String::new()
    };
    text.contains("#[utoipa::path(") && text.contains(&format!("async fn {name}("))
}

#[test]
fn no_service_is_built_with_another() {
    let mut broken = Vec::new();
    for service in services() {
        for dependency in dependencies(&service) {
            if dependency.starts_with("svc_") {
                broken.push(format!("{} takes {dependency}", name_of(&service)));
            }
        }
    }
    none(
        &broken,
        "services talk by records, or over HTTP through a public API",
    );
}
