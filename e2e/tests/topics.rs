//! A service refuses to start on a topic that would lose records, and says what mends it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use e2e::Stack;
use platform::config::KafkaConfig;
use platform::ids::new_id;
use platform::kafka::client_config;
use platform::kafka::topics::{TopicError, create, verify};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use schemas::topics::{Kind, Partitions, Topic};
use tokio::task::spawn_blocking;

fn kafka(replication_factor: i32) -> anyhow::Result<KafkaConfig> {
    let stack = Stack::from_env();
    Ok(KafkaConfig {
        brokers: stack.kafka_brokers,
        event_partitions: stack.event_partitions,
        replication_factor,
        schema_registry_url: stack.schema_registry_url.parse()?,
    })
}

/// A topic of a test's own.
struct Own(Topic);

impl Own {
    async fn new(kind: Kind) -> anyhow::Result<Self> {
        // Names of topics live as long as the program.
        let topic = Topic {
            name: Box::leak(format!("settings.{}", new_id()).into_boxed_str()),
            kind,
            partitions: Partitions::ByKey(1),
        };
        create(&kafka(1)?, &[topic]).await?;
        Ok(Self(topic))
    }

    fn refusal(&self, config: &KafkaConfig) -> anyhow::Result<TopicError> {
        let verified = verify(config, &[self.0]);
        verified.err().context("the topic is good enough")
    }

    /// Changes a setting as the command does that a refusal names: `kafka-configs …`.
    async fn run(&self, command: &str) -> anyhow::Result<()> {
        let (_, words) = command
            .split_once("kafka-configs ")
            .with_context(|| format!("no command in {command:?}"))?;
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/local/bin/kafka-configs");
        let mut tool = Command::new(tool);
        tool.args(words.split(' '));
        let output = spawn_blocking(move || tool.output()).await??;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kafka-configs: {said}");
        Ok(())
    }

    async fn set(&self, setting: &str) -> anyhow::Result<()> {
        let name = self.0.name;
        self.run(&format!(
            "kafka-configs --alter --entity-type topics --entity-name {name} --add-config {setting}"
        ))
        .await
    }

    async fn delete(self) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            client_config(&kafka(1)?.brokers, "settings").create()?;
        admin
            .delete_topics(&[self.0.name], &AdminOptions::new())
            .await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_ledger_that_is_kept_for_a_week_is_refused() -> anyhow::Result<()> {
    let (kafka, ledger) = (kafka(1)?, Own::new(Kind::LogForEver).await?);
    ledger.set("retention.ms=604800000").await?;
    let refusal = ledger.refusal(&kafka)?.to_string();
    let name = ledger.0.name;
    ensure!(
        refusal.starts_with(&format!("topic {name} has retention.ms=604800000"))
            && refusal.contains("retention.ms=-1 is wanted"),
        "{refusal}"
    );
    ledger.run(&refusal).await?;
    verify(&kafka, &[ledger.0]).context("after the command of the refusal")?;
    ledger.delete().await
}

#[tokio::test]
async fn a_table_that_forgets_is_refused() -> anyhow::Result<()> {
    let (kafka, table) = (kafka(1)?, Own::new(Kind::StateTable).await?);
    table.set("cleanup.policy=delete").await?;
    let refusal = table.refusal(&kafka)?.to_string();
    ensure!(refusal.contains("has cleanup.policy=delete"), "{refusal}");
    // Nor does `migrate` take it as it is.
    let created = create(&kafka, &[table.0]).await;
    ensure!(
        matches!(created, Err(TopicError::Setting { .. })),
        "{created:?}"
    );
    table.delete().await
}

/// It was made with one copy, and the service is told that there are three.
#[tokio::test]
async fn three_copies_of_which_one_is_enough_are_refused() -> anyhow::Result<()> {
    let (three, ledger) = (kafka(3)?, Own::new(Kind::LogForEver).await?);
    verify(&kafka(1)?, &[ledger.0])?;
    let refusal = ledger.refusal(&three)?.to_string();
    ensure!(
        refusal.contains("has min.insync.replicas=1")
            && refusal.contains("min.insync.replicas=2 is wanted"),
        "{refusal}"
    );
    ledger.delete().await
}
