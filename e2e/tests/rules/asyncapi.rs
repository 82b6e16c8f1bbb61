//! docs/asyncapi.json is current and knows every topic and every record.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::files::{name_of, none, read, root, schemas};

fn document() -> Value {
    e2e::asyncapi::document().expect("the schemas can be read")
}

#[test]
fn the_asyncapi_document_is_current() {
    let kept: Value =
        serde_json::from_str(&read(&root().join("docs/asyncapi.json"))).expect("it is JSON");
    assert!(
        kept == document(),
        "cargo run -p e2e --bin asyncapi > docs/asyncapi.json"
    );
}

#[test]
fn the_asyncapi_document_has_every_topic_and_record() {
    let document = document();
    let mut missing = Vec::new();
    for file in schemas() {
        let topic = file.parent().map(name_of).unwrap_or_default();
        let record = file.file_stem().unwrap_or_default().to_string_lossy();
        if topic != "dead" && document["channels"][&topic]["messages"][&*record].is_null() {
            missing.push(format!("{record} on {topic}"));
        }
    }
    let source = read(&root().join("schemas/src/topics.rs"));
    for name in source.split("topic(").skip(1) {
        let name = name.split('"').nth(1).unwrap_or_default();
        if name.contains('.') && !name.contains('{') && document["channels"][name].is_null() {
            missing.push(name.to_owned());
        }
    }
    none(&missing, "e2e/src/asyncapi.rs lists every topic");
}

/// Each `$ref` leads somewhere.
#[test]
fn the_asyncapi_document_refers_to_what_is_there() {
    let document = document();
    let mut refs = BTreeSet::new();
    collect(&document, &mut refs);
    assert!(refs.len() > 30, "{refs:?}");
    let dangling: Vec<String> = refs
        .into_iter()
        .filter(|path| {
            let pointer = path.trim_start_matches('#');
            document.pointer(pointer).is_none()
        })
        .collect();
    none(&dangling, "a $ref names a part of the document");
}

fn collect(value: &Value, refs: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(path) if name == "$ref" => drop(refs.insert(path.clone())),
                    other => collect(other, refs),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, refs)),
        _ => {}
    }
}
