//! Topics and tables of the ceiling's own, of the same kinds as the box office's. Made before and removed after.

use std::time::Duration;

use anyhow::Context as _;
use platform::config::{CqlConfig, Env, KafkaConfig};
use platform::cql::{self, Migration};
use platform::kafka::{client_config, topics};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use schemas::topics::{CHECKOUT_COMMANDS, CHECKOUT_ORDERS, CHECKOUT_STATE, CHECKOUT_STOCK, Topic};

/// What slots ask for.
pub(crate) const COMMANDS: Topic = Topic {
    name: "bench.commands",
    ..CHECKOUT_COMMANDS
};
/// What became of it.
pub(crate) const ORDERS: Topic = Topic {
    name: "bench.orders",
    ..CHECKOUT_ORDERS
};
/// Live stock.
pub(crate) const STOCK: Topic = Topic {
    name: "bench.stock",
    ..CHECKOUT_STOCK
};
/// Books, holds, remembered commands and position.
pub(crate) const STATE: Topic = Topic {
    name: "bench.state",
    ..CHECKOUT_STATE
};

const TOPICS: [Topic; 4] = [COMMANDS, ORDERS, STOCK, STATE];
const KEYSPACE: &str = "bench";
const TABLES: Migration = Migration {
    name: "tables",
    text: include_str!("tables.cql"),
};
const REMOVED_WITHIN: Duration = Duration::from_secs(20);

/// Where the ceiling works.
pub(crate) struct Place {
    /// Kafka and the registry.
    pub(crate) kafka: KafkaConfig,
    /// The keyspace.
    pub(crate) cql: CqlConfig,
}

impl Place {
    /// The stack that the environment names.
    pub(crate) fn from_env() -> anyhow::Result<Self> {
        let keyspace = ("CQL_KEYSPACE".to_owned(), KEYSPACE.to_owned());
        let env = Env::from_map(std::env::vars().chain([keyspace]));
        Ok(env.read(|env| {
            let kafka = KafkaConfig::from_env(env);
            let cql = CqlConfig::from_env(env);
            Some(Self {
                kafka: kafka?,
                cql: cql?,
            })
        })?)
    }

    /// Makes what is missing.
    pub(crate) async fn create(&self) -> anyhow::Result<()> {
        topics::create(&self.kafka, &TOPICS).await?;
        Ok(cql::migrate(&self.cql, &[TABLES]).await?)
    }

    /// Removes all of it.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            client_config(&self.kafka.brokers, "ceiling").create()?;
        let options = AdminOptions::new()
            .operation_timeout(Some(REMOVED_WITHIN))
            .request_timeout(Some(REMOVED_WITHIN));
        for answer in admin
            .delete_topics(&TOPICS.map(|topic| topic.name), &options)
            .await?
        {
            answer.map_err(|(topic, code)| anyhow::anyhow!("delete {topic}: {code}"))?;
        }
        let session = cql::connect(&self.cql).await?;
        session
            .query_unpaged(format!("DROP KEYSPACE {KEYSPACE}"), ())
            .await
            .context("drop the keyspace")?;
        Ok(())
    }
}
