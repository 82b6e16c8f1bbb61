//! No schema changes by which a reader, older or newer, could not read a record of any version: each present schema is
//! registered behind its released versions, and the registry refuses what does not follow.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use e2e::{Answer, Api, Stack};
use platform::ids::new_id;
use serde_json::{Value, json};

/// Where the schemas lie.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas")
}

/// The texts of all schemas of the repository, with their topics.
fn schemas() -> anyhow::Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    for topic in fs::read_dir(folder())? {
        let topic = topic?;
        for file in fs::read_dir(topic.path()).into_iter().flatten() {
            let path = file?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "avsc")
            {
                let schema = serde_json::from_str(&fs::read_to_string(&path)?)?;
                found.push((topic.file_name().to_string_lossy().into_owned(), schema));
            }
        }
    }
    ensure!(found.len() > 10, "only {} schemas", found.len());
    Ok(found)
}

/// The released versions of a schema, the oldest first.
fn released(topic: &str, name: &str) -> anyhow::Result<BTreeMap<u32, Value>> {
    let mut versions = BTreeMap::new();
    for version in 1.. {
        let path = folder().join(format!("released/{topic}/{name}.{version}.avsc"));
        if !path.exists() {
            break;
        }
        versions.insert(version, serde_json::from_str(&fs::read_to_string(path)?)?);
    }
    ensure!(
        !versions.is_empty(),
        "no released version of {topic}/{name}"
    );
    Ok(versions)
}

/// The subject of a record on `topic` (TopicRecordName strategy).
fn subject(topic: &str, schema: &Value) -> anyhow::Result<String> {
    let namespace = schema["namespace"].as_str().context("a namespace")?;
    let name = schema["name"].as_str().context("a name")?;
    Ok(format!("{topic}-{namespace}.{name}"))
}

fn registry(stack: &Stack) -> Api {
    Api::new(&stack.schema_registry_url)
}

/// The same schema with other fields.
fn with_fields(schema: &Value, change: impl Fn(&mut Vec<Value>)) -> Value {
    let mut changed = schema.clone();
    if let Some(fields) = changed["fields"].as_array_mut() {
        change(fields);
    }
    changed
}

async fn register(registry: &Api, subject: &str, schema: &Value) -> anyhow::Result<Answer> {
    let body = json!({"schemaType": "AVRO", "schema": schema.to_string()});
    registry
        .post(format!("/subjects/{subject}/versions"))
        .json(&body)
        .send()
        .await
}

#[tokio::test]
async fn the_registry_was_told_to_enforce() -> anyhow::Result<()> {
    let config = registry(&Stack::from_env())
        .get("/config")
        .send()
        .await?
        .expect(200)?;
    ensure!(
        config["compatibilityLevel"] == "FULL_TRANSITIVE",
        "{config}"
    );
    Ok(())
}

/// The gate. A field that is gone, has another type, or is new without a default ends here, whatever the structs say: the topics
/// keep records of every version.
#[tokio::test]
async fn every_schema_follows_its_released_versions() -> anyhow::Result<()> {
    let registry = registry(&Stack::from_env());
    let mut refused = Vec::new();
    for (topic, schema) in schemas()? {
        let name = schema["name"].as_str().context("a name")?;
        // Topics of the gate's own: on the real ones the services have registered the present schemas already.
        let subject = subject(&format!("gate-{}.{topic}", new_id()), &schema)?;
        let released = released(&topic, name)?.into_iter();
        let released = released
            .map(|(version, schema)| (format!("released/{topic}/{name}.{version}.avsc"), schema));
        for (file, schema) in released.chain([(format!("{topic}/{name}.avsc"), schema.clone())]) {
            let answer = register(&registry, &subject, &schema).await?;
            if answer.status != 200 {
                refused.push(format!("schemas/{file}: {answer}"));
            }
        }
        registry
            .delete(format!("/subjects/{subject}"))
            .send()
            .await?
            .expect(200)?;
    }
    ensure!(
        refused.is_empty(),
        "records that were written, or readers that run, do not fit a schema any more. Bring back the field or type that \
         schemas/released has; a new field is of type [\"null\", T] with default null; what cannot be said so is a new record.\n{}",
        refused.join("\n")
    );
    Ok(())
}

/// Else the gate would let everything pass.
#[tokio::test]
async fn every_schema_may_grow_and_may_not_break() -> anyhow::Result<()> {
    let registry = registry(&Stack::from_env());
    for (_, schema) in schemas()? {
        let name = schema["name"].as_str().context("a name")?.to_owned();
        let subject = format!("gate-{}-{name}", new_id());
        register(&registry, &subject, &schema).await?.expect(200)?;

        let without_default = |field: &Value| field.get("default").is_none();
        let dropped = with_fields(&schema, |fields| {
            let at = fields.iter().position(without_default);
            fields.remove(at.expect("a record has a field without default"));
        });
        let demanding = with_fields(&schema, |fields| {
            fields.push(json!({"name": "gate_note", "type": "string"}));
        });
        let retyped = with_fields(&schema, |fields| {
            let at = fields.iter().position(without_default);
            fields[at.expect("a record has a field without default")]["type"] = json!("boolean");
        });
        for (what, change) in [
            ("loses a field", dropped),
            ("demands a new field", demanding),
            ("retypes a field", retyped),
        ] {
            let answer = register(&registry, &subject, &change).await?;
            ensure!(answer.status == 409, "{name} {what}: {answer}");
        }

        let grown = with_fields(&schema, |fields| {
            fields.push(json!({"name": "gate_note", "type": ["null", "string"], "default": null}));
        });
        register(&registry, &subject, &grown)
            .await?
            .expect(200)
            .context("an optional field")?;
        registry
            .delete(format!("/subjects/{subject}"))
            .send()
            .await?
            .expect(200)?;
    }
    Ok(())
}

/// Else the first record of a kind would be written under a schema that no gate has seen.
#[tokio::test]
async fn every_schema_is_registered_for_its_topic() -> anyhow::Result<()> {
    let registry = registry(&Stack::from_env());
    for (topic, schema) in schemas()? {
        // Dead letters lie on one topic for each consumer group, under each topic's name.
        if topic == "dead" {
            continue;
        }
        let subject = subject(&topic, &schema)?;
        let answer = registry
            .get(format!("/subjects/{subject}/versions/latest"))
            .send()
            .await?;
        let latest = answer
            .expect(200)
            .with_context(|| format!("{subject} is not registered"))?;
        let text = latest["schema"].as_str().context("a schema")?;
        let ours: Value = serde_json::from_str(text)?;
        ensure!(ours == schema, "{subject} is registered as {ours}");
    }
    Ok(())
}
