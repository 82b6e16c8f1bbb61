//! All topics as an AsyncAPI 3 document, made from `schemas/`: who sends what, to whom, keyed and kept how.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use schemas::topics::{
    CATALOG_EVENTS, CATALOG_INVENTORY, CHECKOUT_ATTENDEES, CHECKOUT_COMMANDS, CHECKOUT_DRAIN,
    CHECKOUT_GUESTS, CHECKOUT_ORDERS, CHECKOUT_PAYMENTS, CHECKOUT_REPLIES, CHECKOUT_STATE,
    CHECKOUT_STOCK, IDENTITY_MAIL, IDENTITY_NOTICES, IDENTITY_USERS, Kind, MAILER_NOTIFICATIONS,
    Partitions, Topic,
};
use serde_json::{Map, Value, json};

/// A topic and those who use it.
struct Channel {
    topic: Topic,
    /// What its keys are.
    key: &'static str,
    sender: &'static str,
    receivers: &'static [&'static str],
}

const fn channel(
    topic: Topic,
    key: &'static str,
    sender: &'static str,
    receivers: &'static [&'static str],
) -> Channel {
    Channel {
        topic,
        key,
        sender,
        receivers,
    }
}

const CHECKOUT: &str = "svc-checkout";
const CATALOG: &str = "svc-catalog";
const MAILER: &str = "svc-mailer";
const EVENT_OR_VOUCHER: &str = "event_id, of vouchers <event_id>/voucher/<code>";

/// Every topic but those of dead letters, which each consumer has for each of its sources.
const CHANNELS: &[Channel] = &[
    channel(
        IDENTITY_USERS,
        "user_id",
        "svc-identity",
        &[CHECKOUT, MAILER],
    ),
    channel(IDENTITY_MAIL, "user_id", "svc-identity", &[MAILER]),
    channel(IDENTITY_NOTICES, "user_id", "svc-identity", &[MAILER]),
    channel(
        CATALOG_EVENTS,
        "event_id",
        CATALOG,
        &[CATALOG, CHECKOUT, MAILER],
    ),
    channel(CATALOG_INVENTORY, EVENT_OR_VOUCHER, CATALOG, &[CHECKOUT]),
    channel(CHECKOUT_COMMANDS, "event_id", CHECKOUT, &[CHECKOUT]),
    channel(CHECKOUT_ORDERS, "order_id", CHECKOUT, &[CHECKOUT, MAILER]),
    channel(CHECKOUT_PAYMENTS, "order_id", CHECKOUT, &[CHECKOUT, MAILER]),
    channel(CHECKOUT_ATTENDEES, "ticket_id", CHECKOUT, &[]),
    channel(CHECKOUT_GUESTS, "guest_id", CHECKOUT, &[MAILER]),
    channel(
        CHECKOUT_STOCK,
        EVENT_OR_VOUCHER,
        CHECKOUT,
        &[CATALOG, CHECKOUT],
    ),
    channel(
        CHECKOUT_STATE,
        "kind and id of the entity",
        CHECKOUT,
        &[CHECKOUT],
    ),
    channel(
        CHECKOUT_REPLIES,
        "name of the instance",
        CHECKOUT,
        &[CHECKOUT],
    ),
    channel(
        CHECKOUT_DRAIN,
        "none: it never holds a record",
        CHECKOUT,
        &[CHECKOUT],
    ),
    channel(MAILER_NOTIFICATIONS, "notification_id", MAILER, &[]),
];

/// The document. An error: a schema cannot be read.
pub fn document() -> anyhow::Result<Value> {
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    for channel in CHANNELS {
        let name = channel.topic.name;
        let records = records(name)?;
        channels.insert(name.to_owned(), channel_object(channel, &records));
        let mut operate = |action: &str, service: &str| {
            let operation = json!({
                "action": action,
                "channel": {"$ref": format!("#/channels/{name}")},
                "summary": format!("{service} {action}s records of {name}"),
            });
            operations.insert(format!("{service}.{action}.{name}"), operation);
        };
        operate("send", channel.sender);
        for receiver in channel.receivers {
            operate("receive", receiver);
        }
        for (record, schema) in records {
            messages.insert(
                record.clone(),
                message_object(&record, &schema, channel.key),
            );
        }
    }
    Ok(json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ticketing",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Records on Kafka. docs/TOPICS.md says what each one guarantees; dead letters go to <topic>.<group>.dead.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/avro",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {"Headers": headers()}},
    }))
}

/// The schemas of a topic by the name of their record, as they lie in its folder.
fn records(topic: &str) -> anyhow::Result<BTreeMap<String, Value>> {
    let folder = schemas_folder().join(topic);
    let mut records = BTreeMap::new();
    if !folder.exists() {
        return Ok(records);
    }
    for entry in fs::read_dir(&folder)? {
        let file = entry?.path();
        let text = fs::read_to_string(&file)?;
        let schema: Value =
            serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
        let name = schema["name"].as_str().context("a record has a name")?;
        records.insert(name.to_owned(), schema);
    }
    Ok(records)
}

fn schemas_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas")
}

fn channel_object(channel: &Channel, records: &BTreeMap<String, Value>) -> Value {
    let topic = &channel.topic;
    let messages: Map<String, Value> = records
        .keys()
        .map(|name| {
            let message = json!({"$ref": format!("#/components/messages/{name}")});
            (name.clone(), message)
        })
        .collect();
    let mut kafka = json!({"topic": topic.name, "bindingVersion": "0.5.0"});
    let partitions = match topic.partitions {
        Partitions::ByKey(count) => {
            kafka["partitions"] = json!(count);
            "By key."
        }
        Partitions::ByEvent => {
            "EVENT_PARTITIONS of them, by event: all about an event is in one, in one order."
        }
    };
    kafka["topicConfiguration"] = configuration(topic.kind);
    json!({
        "address": topic.name,
        "description": format!("{} {partitions}", kept(topic.kind)),
        "messages": messages,
        "bindings": {"kafka": kafka},
    })
}

fn kept(kind: Kind) -> &'static str {
    match kind {
        Kind::Table => "A table: the newest record of each key; a tombstone deletes.",
        Kind::PersonalTable => "A table of personal data: compacted within the hour.",
        Kind::StateTable => "The box office's own state, compacted eagerly; nobody else reads it.",
        Kind::LogFor(_) => "A log that is kept for a while.",
        Kind::SecretLog => {
            "A log of secrets, kept for an hour; nobody but the receiver may read it."
        }
        Kind::LogForEver => "A log that is kept for ever.",
    }
}

/// The settings that the binding has a place for; policies are lists there and times are numbers.
fn configuration(kind: Kind) -> Value {
    let mut settings = Map::new();
    for (name, value) in kind.settings() {
        let value = match name {
            "cleanup.policy" => json!([value]),
            "retention.ms" | "retention.bytes" | "delete.retention.ms" => {
                json!(value.parse::<i64>().unwrap_or_default())
            }
            _ => continue,
        };
        settings.insert(name.to_owned(), value);
    }
    Value::Object(settings)
}

fn message_object(record: &str, schema: &Value, key: &str) -> Value {
    json!({
        "name": format!("{}.{record}", schema["namespace"].as_str().unwrap_or_default()),
        "title": record,
        "summary": schema["doc"],
        "contentType": "application/avro",
        "headers": {"$ref": "#/components/schemas/Headers"},
        "payload": {"schemaFormat": "application/vnd.apache.avro+json;version=1.9.0", "schema": schema},
        "bindings": {"kafka": {
            "key": {"type": "string", "description": key},
            "schemaIdLocation": "payload",
            "schemaIdPayloadEncoding": "confluent",
            "schemaLookupStrategy": "TopicRecordNameStrategy",
            "bindingVersion": "0.5.0",
        }},
    })
}

/// The CloudEvents binding. The box office's own state has none.
fn headers() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "properties": {
            "ce_specversion": text("1.0"),
            "ce_id": text("UUID; the same fact bears the same one however often it is produced"),
            "ce_type": text("full name of the record"),
            "ce_source": text("the service"),
            "ce_time": text("RFC 3339"),
            "ce_subject": text("what it is about, mostly the key"),
            "content-type": text("application/avro"),
            "traceparent": text("W3C trace context of the request that caused it"),
        },
    })
}
