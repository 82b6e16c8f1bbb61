//! Every record has its schema, its struct and its row in docs/TOPICS.md.

use std::collections::BTreeSet;

use crate::files::{files, name_of, none, read, root, schemas};

/// Topic and name of every schema. The dead letter, which every dead topic bears, has the topic `dead`.
fn records() -> BTreeSet<(String, String)> {
    schemas()
        .iter()
        .map(|file| {
            let topic = file.parent().map(name_of).unwrap_or_default();
            (
                topic,
                file.file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
            )
        })
        .collect()
}

#[test]
fn every_schema_has_its_struct() {
    let source: String = files(&root().join("schemas/src"), "rs")
        .iter()
        .map(|file| read(file))
        .collect();
    let tied: String = source.split_whitespace().collect::<String>();
    let mut broken = Vec::new();
    for (topic, name) in records() {
        let file = format!("{topic}/{name}.avsc\"");
        let calls = tied
            .split("record!(")
            .skip(1)
            .map(|call| call.split(");").next().unwrap_or_default());
        if !calls
            .into_iter()
            .any(|call| call.starts_with(&format!("{name},")) && call.contains(&file))
        {
            broken.push(format!("{topic}/{name}.avsc"));
        }
    }
    none(
        &broken,
        "`record!` in schemas/src ties a struct of the same name to each schema",
    );
}

#[test]
fn every_schema_is_named_as_its_file() {
    let mut broken = Vec::new();
    for file in schemas() {
        let text = read(&file);
        let schema: serde_json::Value = serde_json::from_str(&text).expect("a schema is JSON");
        let name = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let namespace = schema["namespace"].as_str().unwrap_or_default();
        if schema["name"] != *name || !namespace.starts_with("ticketing.") {
            broken.push(format!("{name}.avsc is {namespace}.{}", schema["name"]));
        }
    }
    none(
        &broken,
        "<topic>/<Record>.avsc holds the record ticketing.<service>.<Record>",
    );
}

#[test]
fn every_record_has_its_row() {
    let page = read(&root().join("docs/TOPICS.md"));
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with('|')).collect();
    let has = |row: &str, word: &str| {
        row.split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_'))
            .any(|found| found == word)
    };
    let mut broken = Vec::new();
    for (topic, name) in records() {
        let is_its_row = |row: &&&str| has(row, &name) && (topic == "dead" || has(row, &topic));
        if rows.iter().find(is_its_row).is_none() {
            broken.push(format!("{name} on {topic}"));
        }
    }
    none(
        &broken,
        "a table row of docs/TOPICS.md names the record and its topic",
    );
}
