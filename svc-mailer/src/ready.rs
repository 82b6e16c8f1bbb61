//! Whether the stores answer. The mail server is none: without it the service does all it can, and mails wait.

use std::sync::Arc;
use std::time::Duration;

use platform::kafka::client_config;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use schemas::topics::MAILER_NOTIFICATIONS;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;

/// Below the time that a readiness check may take.
const PROBE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Whether the database answers.
pub async fn cql(session: Arc<Session>) -> Result<(), ExecutionError> {
    session
        .query_unpaged(
            "SELECT bucket FROM due_notifications WHERE bucket = 0 LIMIT 1",
            (),
        )
        .await?;
    Ok(())
}

/// Asks a broker, over a connection that stays open.
#[derive(Clone)]
pub struct KafkaProbe {
    client: Arc<BaseConsumer>,
}

impl KafkaProbe {
    /// Connects in the background.
    pub fn new(brokers: &str) -> Result<Self, KafkaError> {
        let client = client_config(brokers, "svc-mailer-probe").create()?;
        Ok(Self {
            client: Arc::new(client),
        })
    }

    /// Whether a broker answers.
    pub async fn check(self) -> anyhow::Result<()> {
        // The client's call blocks.
        tokio::task::spawn_blocking(move || {
            self.client
                .fetch_metadata(Some(MAILER_NOTIFICATIONS.name), PROBE_TIMEOUT)
        })
        .await??;
        Ok(())
    }
}
