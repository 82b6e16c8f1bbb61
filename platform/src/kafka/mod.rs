//! Kafka as every service uses it: clients, topics, partitions, headers, a consumer loop.

pub mod consumer;
mod dead_letters;
pub mod headers;
mod lane;
pub mod membership;
pub mod partition;
pub mod producer;
pub mod table;
pub mod topic_reader;
mod topic_settings;
pub mod topics;
pub mod watched;

pub use partition::partition_of;

use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, ClientContext};

/// For readers that ask to be told where a partition ends: the end is news and no error, and
/// the client would log it as one.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReaderContext;

impl ClientContext for ReaderContext {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            tracing::warn!(%error, reason, "kafka");
        }
    }
}

impl ConsumerContext for ReaderContext {}

/// Settings that every client has.
///
/// `client_id` appears in the broker's logs and quotas.
pub fn client_config(brokers: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", client_id)
        // The address that the broker advertises counts; on a dual-stack host `localhost` would
        // be tried over IPv6 first and wait for nothing.
        .set("broker.address.family", "v4")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.keepalive.enable", "true")
        // Nagle's algorithm holds small requests back for tens of milliseconds.
        .set("socket.nagle.disable", "true");
    config
}
