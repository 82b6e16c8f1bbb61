//! `svc-checkout rebuild`: the tables anew, from the topics alone.
//!
//! For a lost or doubted keyspace: rebuild into a new name, compare with `audit`, start the service on it. Rows bear the
//! times of their decisions, so it does not matter in which order they are written, or whether the service writes too.

use std::sync::Arc;

use anyhow::{bail, ensure};
use platform::avro::Registry;
use platform::cql;
use platform::kafka::topic_reader::TopicReader;
use schemas::Record as _;
use schemas::catalog::EventSnapshot;
use schemas::topics::{CATALOG_EVENTS, CHECKOUT_ORDERS, CHECKOUT_PAYMENTS, Partitions};
use scylla::client::session::Session;

use crate::box_office::projector::{Projection, read_fact};
use crate::config::StoresConfig;
use crate::consume::catalog_events::info_of;
use crate::domain::fact::Fact;
use crate::store;
use crate::store::events::EventStore;
use crate::store::orders::OrderStore;

/// Facts whose rows are written together.
const FACTS_AT_ONCE: usize = 2_000;
const CLIENT: &str = "svc-checkout-rebuild";

/// Fills the configured keyspace, which is made if it is not there.
pub async fn run(config: &StoresConfig) -> anyhow::Result<()> {
    cql::migrate(&config.cql, store::MIGRATIONS).await?;
    let session = cql::connect(&config.cql).await?;
    refuse_rows(&session, &config.cql.keyspace).await?;
    let registry = Registry::new(config.kafka.schema_registry_url.as_str())?;
    events(config, &registry, &session).await?;
    let projection = Projection::new(Arc::new(OrderStore::new(Arc::clone(&session)).await?));
    for topic in [CHECKOUT_ORDERS.name, CHECKOUT_PAYMENTS.name] {
        orders(config, &registry, &projection, topic).await?;
    }
    tracing::info!(
        keyspace = config.cql.keyspace,
        "rebuilt; the simulated provider's ledger is not ours and not in it"
    );
    Ok(())
}

/// What is there already may be wrong, and would stay.
async fn refuse_rows(session: &Session, keyspace: &str) -> anyhow::Result<()> {
    for table in ["orders", "orders_by_user", "tickets_by_user"] {
        let answer = session
            .query_unpaged(format!("SELECT * FROM {table} LIMIT 1"), ())
            .await?;
        ensure!(
            answer.into_rows_result()?.rows_num() == 0,
            "{keyspace}.{table} has rows: set CQL_KEYSPACE to a name that is free"
        );
    }
    Ok(())
}

async fn orders(
    config: &StoresConfig,
    registry: &Registry,
    projection: &Projection,
    topic: &'static str,
) -> anyhow::Result<()> {
    let partitions = config.kafka.event_partitions;
    let mut reader = TopicReader::open(&config.kafka, registry, CLIENT, topic, partitions)?;
    let mut facts: Vec<Fact> = Vec::new();
    let mut unreadable = Vec::new();
    let records = reader
        .read_on(
            async |_, datum| {
                let fact = datum.map(|datum| read_fact(&datum)).transpose();
                let fact = fact.map_err(|error| error.to_string())?;
                facts.extend(fact.flatten());
                if facts.len() >= FACTS_AT_ONCE {
                    projection.write(facts.iter().collect()).await;
                    facts.clear();
                }
                Ok(())
            },
            &mut unreadable,
        )
        .await?;
    projection.write(facts.iter().collect()).await;
    tracing::info!(topic, records, "read");
    all_read(topic, &unreadable)
}

async fn events(
    config: &StoresConfig,
    registry: &Registry,
    session: &Arc<Session>,
) -> anyhow::Result<()> {
    let topic = CATALOG_EVENTS.name;
    let Partitions::ByKey(partitions) = CATALOG_EVENTS.partitions else {
        bail!("{topic} has as many partitions as it says");
    };
    let store = EventStore::new(Arc::clone(session)).await?;
    let mut reader = TopicReader::open(&config.kafka, registry, CLIENT, topic, partitions)?;
    let mut snapshots = Vec::new();
    let mut unreadable = Vec::new();
    let records = reader
        .read_on(
            async |_, datum| {
                let Some(datum) = datum.filter(|datum| datum.name() == EventSnapshot::NAME) else {
                    return Ok(());
                };
                let snapshot: EventSnapshot = datum.read().map_err(|error| error.to_string())?;
                snapshots.push(snapshot);
                Ok(())
            },
            &mut unreadable,
        )
        .await?;
    for snapshot in snapshots {
        let (event_id, version) = (snapshot.event_id, snapshot.version);
        store.put(event_id, version, &info_of(snapshot)).await?;
    }
    tracing::info!(topic, records, "read");
    all_read(topic, &unreadable)
}

fn all_read(topic: &str, unreadable: &[String]) -> anyhow::Result<()> {
    let Some(first) = unreadable.first() else {
        return Ok(());
    };
    bail!(
        "{} records of {topic} cannot be read: {first}",
        unreadable.len()
    );
}
