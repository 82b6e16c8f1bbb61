//! Creating topics, and refusing to work with ones that have another shape.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use schemas::topics::{Partitions, Topic};
use tokio::time::Instant;

use crate::config::KafkaConfig;

const ADMIN_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a broker is asked for a topic that was just made.
const METADATA_LOOK: Duration = Duration::from_millis(50);

/// Why the topics are not as they must be.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The broker refused or is away.
    #[error("topic {topic}: {action}")]
    Broker {
        /// The topic.
        topic: String,
        /// What was asked.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: KafkaError,
    },
    /// The number of partitions decides where an event lives and can never change.
    #[error(
        "topic {topic} has {found} partitions, this configuration wants {wanted}: set EVENT_PARTITIONS to what the topics were created with"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// On the broker.
        found: usize,
        /// Configured.
        wanted: i32,
    },
    /// The topic is not there.
    #[error("topic {topic} does not exist: run the `migrate` command of its owner")]
    Missing {
        /// The topic.
        topic: String,
    },
}

fn partitions(topic: &Topic, config: &KafkaConfig) -> i32 {
    match topic.partitions {
        Partitions::ByEvent => config.event_partitions,
        Partitions::ByKey(count) => count,
    }
}

/// Creates the topics that are missing, and returns when the broker tells of them.
pub async fn create(config: &KafkaConfig, topics: &[Topic]) -> Result<(), TopicError> {
    for topic in topics {
        let settings = topic.kind.settings();
        create_one(config, topic.name, partitions(topic, config), &settings).await?;
    }
    let asked = Instant::now();
    loop {
        match verify(config, topics) {
            // The controller has made it, and the broker that is asked has not heard of it yet.
            Err(TopicError::Missing { .. }) if asked.elapsed() < ADMIN_TIMEOUT => {
                tokio::time::sleep(METADATA_LOOK).await;
            }
            verified => return verified,
        }
    }
}

/// Creates the dead letter topic of `group` for `source`.
pub async fn create_dead_letter(
    config: &KafkaConfig,
    source: &str,
    group: &str,
) -> Result<(), TopicError> {
    let name = schemas::topics::dead_letter_topic(source, group);
    create_one(config, &name, 1, &[("retention.ms", "-1".into())]).await
}

async fn create_one(
    config: &KafkaConfig,
    name: &str,
    partitions: i32,
    settings: &[(&str, String)],
) -> Result<(), TopicError> {
    let failed = |source| TopicError::Broker {
        topic: name.to_owned(),
        action: "create",
        source,
    };
    let admin: AdminClient<DefaultClientContext> = super::client_config(&config.brokers, "migrate")
        .create()
        .map_err(failed)?;
    let mut new = NewTopic::new(
        name,
        partitions,
        TopicReplication::Fixed(config.replication_factor),
    );
    for (key, value) in settings {
        new = new.set(key, value);
    }
    // With three copies an acknowledged record must be on two of them.
    if config.replication_factor >= 3 {
        new = new.set("min.insync.replicas", "2");
    }
    let options = AdminOptions::new()
        .operation_timeout(Some(ADMIN_TIMEOUT))
        .request_timeout(Some(ADMIN_TIMEOUT));
    let answers = admin
        .create_topics([&new], &options)
        .await
        .map_err(failed)?;
    for answer in answers {
        match answer {
            Ok(_) => tracing::info!(topic = name, partitions, "topic created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(failed(KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}

/// Checks that the topics are there and have the configured number of partitions.
pub fn verify(config: &KafkaConfig, topics: &[Topic]) -> Result<(), TopicError> {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    for topic in topics {
        let failed = |source| TopicError::Broker {
            topic: topic.name.to_owned(),
            action: "describe",
            source,
        };
        let client: BaseConsumer = super::client_config(&config.brokers, "verify")
            .create()
            .map_err(failed)?;
        let metadata = client
            .fetch_metadata(Some(topic.name), ADMIN_TIMEOUT)
            .map_err(failed)?;
        let found = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic.name)
            .map_or(0, |found| found.partitions().len());
        let wanted = partitions(topic, config);
        if found == 0 {
            return Err(TopicError::Missing {
                topic: topic.name.to_owned(),
            });
        }
        if i32::try_from(found) != Ok(wanted) {
            return Err(TopicError::Partitions {
                topic: topic.name.to_owned(),
                found,
                wanted,
            });
        }
    }
    Ok(())
}
