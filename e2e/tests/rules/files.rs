//! Where files are, how long they are, and what every crate takes from the workspace.

use std::fs;
use std::path::{Path, PathBuf};

/// A file that needs more has more than one idea.
const MAX_LINES: usize = 450;

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the repository is there")
}

/// A path as people write it, from the root.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Every file below `folder` with this extension, sorted. A folder that is not there has none.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The present schema of every record, sorted: `schemas/<topic>/<Record>.avsc`.
pub(crate) fn schemas() -> Vec<PathBuf> {
    let folder = root().join("schemas");
    let mut schemas = files(&folder, "avsc");
    schemas.retain(|file| !file.starts_with(folder.join("released")));
    assert!(!schemas.is_empty(), "there are schemas");
    schemas
}

/// The text of a file.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", shown(path)))
}

/// The folders of the workspace's crates.
pub(crate) fn crates() -> Vec<PathBuf> {
    let manifest = read(&root().join("Cargo.toml"));
    let members = manifest
        .split_once("members = [")
        .expect("the workspace has members")
        .1;
    let members = members.split_once(']').expect("the list of members ends").0;
    let names = members.split(',').map(|name| name.trim().trim_matches('"'));
    names
        .filter(|name| !name.is_empty())
        .map(|name| root().join(name))
        .collect()
}

/// The folders of the services.
pub(crate) fn services() -> Vec<PathBuf> {
    crates()
        .into_iter()
        .filter(|path| name_of(path).starts_with("svc-"))
        .collect()
}

/// The last part of a path.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Fails with every broken rule at once.
pub(crate) fn none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}\n  {}\n", broken.join("\n  "));
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    let takes =
        |folder: &PathBuf| read(&folder.join("Cargo.toml")).contains("[lints]\nworkspace = true");
    let broken: Vec<String> = crates()
        .iter()
        .filter(|folder| !takes(folder))
        .map(|folder| shown(folder))
        .collect();
    none(&broken, "a crate says `[lints] workspace = true`");
}

#[test]
fn no_file_is_long() {
    let mut broken = Vec::new();
    for path in crates().iter().flat_map(|folder| files(folder, "rs")) {
        let lines = read(&path).lines().count();
        if lines > MAX_LINES {
            broken.push(format!("{} has {lines}", shown(&path)));
        }
    }
    none(&broken, &format!("a file has at most {MAX_LINES} lines"));
}

#[test]
fn a_version_stands_in_the_workspace_only() {
    let mut broken = Vec::new();
    for folder in crates() {
        let manifest = folder.join("Cargo.toml");
        for line in read(&manifest).lines() {
            let Some((name, value)) = line.split_once(" = ") else {
                continue;
            };
            let plain = value.trim_matches(['"', '=', '^', '~']);
            let is_version =
                value.starts_with('"') && plain.starts_with(|c: char| c.is_ascii_digit());
            if is_version || value.contains("version = ") {
                broken.push(format!("{}: {name}", shown(&manifest)));
            }
        }
    }
    none(
        &broken,
        "a crate says `name.workspace = true`, the version stands in the root Cargo.toml",
    );
}

#[test]
fn no_merge_is_half_done() {
    const KINDS: [&str; 8] = ["rs", "md", "cql", "avsc", "json", "yaml", "toml", "py"];
    // Written so that this file has none at the start of a line.
    let marks = ["<", ">"].map(|mark| format!("\n{} ", mark.repeat(7)));
    let root = root();
    let folders = ["docs", "infra"].map(|name| root.join(name));
    let folders = crates().into_iter().chain(folders);
    let mut all: Vec<PathBuf> = folders
        .flat_map(|folder| KINDS.map(|kind| files(&folder, kind)).concat())
        .collect();
    all.push(root.join("README.md"));
    let broken: Vec<String> = all
        .iter()
        .filter(|file| {
            let text = format!("\n{}", read(file));
            marks.iter().any(|mark| text.contains(mark))
        })
        .map(|file| shown(file))
        .collect();
    none(&broken, "both sides of a merge stand in a file");
}
