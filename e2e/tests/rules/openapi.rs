//! What is checked in of what the code says of itself: the description of each API, and what becomes of an order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::files::{name_of, none, read, root, services};

/// The folder of the binaries that were built with this test.
fn binaries() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test
        .ancestors()
        .nth(2)
        .expect("a test lies in deps, below the binaries");
    folder.to_owned()
}

#[test]
fn openapi_json_is_current() {
    let mut broken = Vec::new();
    for service in services() {
        let name = name_of(&service);
        let program = binaries().join(&name);
        let said = Command::new(&program)
            .arg("openapi")
            .output()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; build it with `cargo build --bins`",
                    program.display()
                )
            });
        assert!(
            said.status.success(),
            "{name} openapi: {}",
            String::from_utf8_lossy(&said.stderr)
        );
        if String::from_utf8_lossy(&said.stdout) != read(&service.join("openapi.json")) {
            broken.push(format!(
                "{name}: run `{name} openapi > {name}/openapi.json`"
            ));
        }
    }
    none(&broken, "openapi.json is what the service prints");
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let (mut names, mut broken) = (BTreeMap::new(), Vec::new());
    for service in services() {
        let document = read(&service.join("openapi.json"));
        let document: Value = serde_json::from_str(&document).expect("openapi.json is JSON");
        let paths = document["paths"].as_object().expect("it has paths");
        for (path, operations) in paths {
            let operations = operations.as_object().expect("a path has operations");
            for (method, operation) in operations {
                let called = format!("{method} {path} of {}", name_of(&service));
                let name = operation["operationId"].as_str().unwrap_or_default();
                if !name.contains('_') {
                    broken.push(format!("{called}: {name:?} says too little"));
                }
                if let Some(other) = names.insert(name.to_owned(), called.clone()) {
                    broken.push(format!("{called}: {name} is {other}"));
                }
            }
        }
    }
    none(
        &broken,
        "an operationId says what is done to what (`list_events`), and none is in the four documents twice",
    );
}

#[test]
fn the_state_machine_is_current() {
    let program = binaries().join("svc-checkout");
    let said = Command::new(&program).arg("state-machine").output();
    let said = said.expect("svc-checkout is built with `cargo build --bins`");
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    assert!(
        String::from_utf8_lossy(&said.stdout) == read(&root().join("docs/STATE_MACHINE.md")),
        "run `svc-checkout state-machine > docs/STATE_MACHINE.md`"
    );
}
