//! The versions of each schema that records were written with: `schemas/released/<topic>/<Record>.<version>.avsc`. The
//! gate (`tests/schema_gate.rs`) lets the present schema follow them only where it is compatible.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::files::{files, none, read, root, schemas};

/// Versions of the schemas by `<topic>/<Record>`.
fn released() -> BTreeMap<String, BTreeMap<u32, Value>> {
    let folder = root().join("schemas/released");
    let mut released: BTreeMap<String, BTreeMap<u32, Value>> = BTreeMap::new();
    for file in files(&folder, "avsc") {
        let path = record(&folder, &file);
        let (name, version) = path
            .rsplit_once('.')
            .and_then(|(name, version)| Some((name, version.parse().ok()?)))
            .unwrap_or_else(|| panic!("{path}.avsc is not <Record>.<version>.avsc"));
        let versions = released.entry(name.to_owned()).or_default();
        versions.insert(version, json(&file));
    }
    released
}

/// A schema's path below `folder`, without its extension.
fn record(folder: &Path, file: &Path) -> String {
    let path = file.strip_prefix(folder).expect("it lies in the folder");
    path.with_extension("").display().to_string()
}

fn json(file: &Path) -> Value {
    serde_json::from_str(&read(file)).expect("a schema is JSON")
}

#[test]
fn the_newest_released_version_is_the_present_schema() {
    let released = released();
    let mut broken = Vec::new();
    for file in schemas() {
        let name = record(&root().join("schemas"), &file);
        let newest = released.get(&name).and_then(BTreeMap::last_key_value);
        if newest.is_none_or(|(_, schema)| *schema != json(&file)) {
            let next = newest.map_or(0, |(version, _)| *version) + 1;
            broken.push(format!(
                "install -D schemas/{name}.avsc schemas/released/{name}.{next}.avsc"
            ));
        }
    }
    none(
        &broken,
        "a schema that changed is a new version; each of these commands adds one (the files that are there never change)",
    );
}

#[test]
fn released_versions_are_counted_from_one() {
    let mut broken = Vec::new();
    for (name, versions) in released() {
        if !versions.keys().copied().eq(1..=versions.len() as u32) {
            broken.push(format!("{name}: {:?}", versions.keys()));
        }
    }
    none(&broken, "schemas/released has every version from 1 on");
}

#[test]
fn a_released_record_keeps_its_schema() {
    let is_gone = |name: &String| !root().join(format!("schemas/{name}.avsc")).exists();
    let broken: Vec<String> = released().into_keys().filter(is_gone).collect();
    none(
        &broken,
        "records of these were written, and who reads their topic needs schemas/<topic>/<Record>.avsc",
    );
}

/// What differs in `schemas/released`, but for files that were added.
fn changed(range: &[&str]) -> Vec<String> {
    let mut git = Command::new("git");
    // Whoever owns the folder: it is only read.
    git.args(["-c", "safe.directory=*", "-C"]).arg(root());
    git.args(range).args(["--diff-filter=a", "--name-only"]);
    let said = git.args(["--", "schemas/released"]).output();
    let said = said.expect("git is there");
    let error = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "git {range:?}: {error}");
    let files = String::from_utf8_lossy(&said.stdout);
    files.lines().map(str::to_owned).collect()
}

#[test]
fn a_released_version_never_changes() {
    // An archive has no past.
    if !root().join(".git").exists() {
        return;
    }
    let mut broken = changed(&["log", "--format="]);
    broken.extend(changed(&["diff", "HEAD"]));
    none(
        &broken,
        "records were written with these: what is to be different is the next version, beside them",
    );
}
