//! Kafka as every service uses it: clients, topics, partitions, headers, a consumer loop.

pub mod consumer;
pub mod headers;
pub mod partition;
pub mod producer;
pub mod table;
pub mod topics;

pub use partition::partition_of;

use rdkafka::ClientConfig;

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
