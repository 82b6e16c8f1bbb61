//! What is checked in of what the code says of itself: the description of each API, and what becomes of an order.

use std::path::PathBuf;
use std::process::Command;

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
