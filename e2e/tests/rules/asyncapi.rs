//! docs/asyncapi.json is current, knows every topic and every record, and is what AsyncAPI calls a document.

use std::collections::BTreeSet;

use jsonschema::error::ValidationErrorKind::{AnyOf, OneOfNotValid};
use jsonschema::{ValidationError, Validator};
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

/// AsyncAPI's own JSON schema; its README says where it is from.
fn asyncapi() -> Validator {
    let schema = read(&root().join("e2e/asyncapi-schema/3.0.0.json"));
    let schema = serde_json::from_str(&schema).expect("it is JSON");
    jsonschema::validator_for(&schema).expect("it is a schema")
}

#[test]
fn the_asyncapi_document_is_one() {
    let (validator, document) = (asyncapi(), document());
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .flat_map(|error| told(&error))
        .collect();
    none(&errors, "what AsyncAPI's JSON schema asks for");
}

/// So that the one above can fail: bindings and Avro schemas are looked at, too.
#[test]
fn what_is_no_asyncapi_document_is_seen() {
    let validator = asyncapi();
    for (place, wrong) in [
        (
            "/operations/svc-checkout.send.checkout.orders/action",
            "publish",
        ),
        (
            "/channels/checkout.orders/bindings/kafka/topicConfiguration/cleanup.policy/0",
            "zip",
        ),
        (
            "/components/messages/OrderReserved/bindings/kafka/schemaIdLocation",
            "nowhere",
        ),
        (
            "/components/messages/OrderReserved/payload/schema/type",
            "recording",
        ),
        ("/components/schemas/Headers/type", "objects"),
    ] {
        let mut document = document();
        *document.pointer_mut(place).expect(place) = wrong.into();
        let errors: Vec<_> = validator.iter_errors(&document).collect();
        assert!(!errors.is_empty(), "{wrong} at {place}");
    }
}

/// An error with its place in the document. Where a value may be of several kinds, what is said about each of them.
fn told(error: &ValidationError<'_>) -> Vec<String> {
    match error.kind() {
        AnyOf { context } | OneOfNotValid { context } => {
            context.iter().flatten().flat_map(told).collect()
        }
        _ => vec![format!("{}: {}", error.instance_path(), error.masked())],
    }
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
