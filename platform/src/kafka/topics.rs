//! Creating topics, and refusing to work with ones that have another shape.

use std::time::Duration;

use futures::executor::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use schemas::topics::{Partitions, Topic};
use tokio::time::Instant;

use super::topic_settings::{Loss, loss, min_insync, of_new_topic};
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
    /// A setting by which the topic would lose records that it is to keep, or keep such as are to go.
    #[error(
        "topic {topic} has {setting}={found}, which loses records or keeps them too long; {setting}={wanted} is wanted: kafka-configs --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} --add-config {setting}={wanted}"
    )]
    Setting {
        /// The topic.
        topic: String,
        /// Kafka's name of the setting.
        setting: &'static str,
        /// On the broker.
        found: String,
        /// What mends it.
        wanted: String,
        /// For the command.
        brokers: String,
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

/// A topic that is to be there.
struct Wanted<'a> {
    name: &'a str,
    partitions: i32,
    settings: Vec<(&'static str, String)>,
}

/// Creates the topics that are missing, and returns when the broker tells of them.
pub async fn create(config: &KafkaConfig, topics: &[Topic]) -> Result<(), TopicError> {
    let wanted = topics.iter().map(|topic| Wanted {
        name: topic.name,
        partitions: partitions(topic, config),
        settings: of_new_topic(topic.kind, config),
    });
    create_all(config, &wanted.collect::<Vec<_>>()).await?;
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

/// Creates the dead letter topics of `group` for `sources`.
pub async fn create_dead_letters(
    config: &KafkaConfig,
    sources: &[Topic],
    group: &str,
) -> Result<(), TopicError> {
    let dead = |source: &Topic| schemas::topics::dead_letter_topic(source.name, group);
    let names: Vec<String> = sources.iter().map(dead).collect();
    let wanted = names.iter().map(|name| Wanted {
        name,
        partitions: 1,
        settings: std::iter::once(("retention.ms", "-1".to_owned()))
            .chain(min_insync(config))
            .collect(),
    });
    create_all(config, &wanted.collect::<Vec<_>>()).await
}

async fn create_all(config: &KafkaConfig, wanted: &[Wanted<'_>]) -> Result<(), TopicError> {
    let failed = |name: &str, source| TopicError::Broker {
        topic: name.to_owned(),
        action: "create",
        source,
    };
    let names: Vec<&str> = wanted.iter().map(|topic| topic.name).collect();
    let all_failed = |source| failed(&names.join(", "), source);
    let admin: AdminClient<DefaultClientContext> = super::client_config(&config.brokers, "migrate")
        .create()
        .map_err(all_failed)?;
    let new: Vec<NewTopic<'_>> = wanted.iter().map(|topic| topic.described(config)).collect();
    let options = AdminOptions::new()
        .operation_timeout(Some(ADMIN_TIMEOUT))
        .request_timeout(Some(ADMIN_TIMEOUT));
    let answers = admin.create_topics(&new, &options).await;
    for answer in answers.map_err(all_failed)? {
        match answer {
            Ok(topic) => tracing::info!(topic, "topic created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(failed(&topic, KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}

impl Wanted<'_> {
    fn described(&self, config: &KafkaConfig) -> NewTopic<'_> {
        let copies = TopicReplication::Fixed(config.replication_factor);
        let mut new = NewTopic::new(self.name, self.partitions, copies);
        for (key, value) in &self.settings {
            new = new.set(key, value);
        }
        new
    }
}

/// Checks that the topics are there, have the configured number of partitions, and keep what they are to keep: somebody may
/// have changed a setting, or made the topic by hand.
pub fn verify(config: &KafkaConfig, topics: &[Topic]) -> Result<(), TopicError> {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    let failed = |topic: &Topic, source| TopicError::Broker {
        topic: topic.name.to_owned(),
        action: "describe",
        source,
    };
    let [first, ..] = topics else {
        return Ok(());
    };
    let client: BaseConsumer = super::client_config(&config.brokers, "verify")
        .create()
        .map_err(|source| failed(first, source))?;
    for topic in topics {
        let metadata = client
            .fetch_metadata(Some(topic.name), ADMIN_TIMEOUT)
            .map_err(|source| failed(topic, source))?;
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
    verify_settings(config, topics)
}

/// Blocks like the rest of [`verify`]: it is called before anything else goes on.
fn verify_settings(config: &KafkaConfig, topics: &[Topic]) -> Result<(), TopicError> {
    let failed = |name: &str, source| TopicError::Broker {
        topic: name.to_owned(),
        action: "describe the settings of",
        source,
    };
    let names: Vec<&str> = topics.iter().map(|topic| topic.name).collect();
    let all_failed = |source| failed(&names.join(", "), source);
    let admin: AdminClient<DefaultClientContext> = super::client_config(&config.brokers, "verify")
        .create()
        .map_err(all_failed)?;
    let asked: Vec<_> = names
        .iter()
        .copied()
        .map(ResourceSpecifier::Topic)
        .collect();
    let options = AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT));
    let answers = block_on(admin.describe_configs(&asked, &options)).map_err(all_failed)?;
    // In the order of the question.
    for (topic, settings) in topics.iter().zip(answers) {
        let settings: ConfigResource = settings.map_err(|code| match code {
            RDKafkaErrorCode::UnknownTopicOrPartition => TopicError::Missing {
                topic: topic.name.to_owned(),
            },
            code => failed(topic.name, KafkaError::AdminOp(code)),
        })?;
        let found = settings.entry_map();
        let found = |setting: &str| found.get(setting).and_then(|entry| entry.value.as_deref());
        if let Some(Loss {
            setting,
            found,
            wanted,
        }) = loss(topic.kind, config, found)
        {
            return Err(TopicError::Setting {
                topic: topic.name.to_owned(),
                setting,
                found,
                wanted,
                brokers: config.brokers.clone(),
            });
        }
    }
    Ok(())
}
