//! Every record has its schema, its struct and its row in docs/TOPICS.md.

use std::collections::BTreeSet;

use serde_json::Value;

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
        let schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
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

/// The names in a shown record and in those inside of it, against the fields of `schema`, in their order.
fn compare(shown: &Value, schema: &Value, path: &str, broken: &mut Vec<String>) {
    if let Some(branches) = schema.as_array() {
        // A union of null and one more: null is complete.
        let other = branches.iter().find(|branch| *branch != "null");
        if let (false, Some(other)) = (shown.is_null(), other) {
            compare(shown, other, path, broken);
        }
        return;
    }
    if let (Some(items), Some(shown)) = (schema.get("items"), shown.as_array()) {
        for item in shown {
            compare(item, items, path, broken);
        }
        return;
    }
    let Some(fields) = schema["fields"].as_array() else {
        return;
    };
    let wanted: BTreeSet<&str> = fields.iter().filter_map(|f| f["name"].as_str()).collect();
    let has = shown.as_object().into_iter().flat_map(|shown| shown.keys());
    let has: BTreeSet<&str> = has.map(String::as_str).collect();
    if has != wanted {
        broken.push(format!("{path} shows {has:?}, its schema has {wanted:?}"));
    }
    for field in fields {
        if let Some(name) = field["name"].as_str() {
            let path = format!("{path}.{name}");
            compare(&shown[name], &field["type"], &path, broken);
        }
    }
}

#[test]
fn the_purchase_is_shown_with_the_fields_of_today() {
    let page = read(&root().join("docs/TOPICS.md"));
    let (_, purchase) = page
        .split_once("\n## One purchase")
        .expect("docs/TOPICS.md shows a purchase");
    let mut broken = Vec::new();
    let mut shown = 0;
    let mut topic = "";
    let mut name = "";
    for line in purchase.lines().map(str::trim) {
        if let Some(heading) = line.strip_prefix("### ") {
            topic = heading;
        } else if let Some((_, of_type)) = line.split_once("ce_type:") {
            name = of_type.split(',').next().unwrap_or_default();
            name = name.rsplit('.').next().unwrap_or_default();
        } else if line.starts_with('{') {
            let file = root().join(format!("schemas/{topic}/{name}.avsc"));
            let record = serde_json::from_str(line).expect("a record is shown as JSON");
            let schema = serde_json::from_str(&read(&file)).expect("a schema is JSON");
            compare(&record, &schema, name, &mut broken);
            shown += 1;
        }
    }
    assert!(shown >= 6, "{shown} records are shown");
    none(&broken, "docs/TOPICS.md shows records as they are now");
}
