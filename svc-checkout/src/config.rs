//! Settings, read once from the environment.

use std::time::Duration;

use platform::config::{AuthConfig, CqlConfig, Env, HttpConfig, KafkaConfig, instance_name};

use crate::box_office::EngineConfig;

/// Everything that the service is told from outside.
#[derive(Debug, Clone)]
pub struct Config {
    /// Ports.
    pub http: HttpConfig,
    /// Kafka and the registry.
    pub kafka: KafkaConfig,
    /// The keyspace.
    pub cql: CqlConfig,
    /// Whose tokens are trusted.
    pub auth: AuthConfig,
    /// The engine.
    pub engine: EngineConfig,
}

/// A hold lasts this long unless configured: 10 min.
const HOLD_SECONDS: u64 = 600;
/// Repeats of a command are recognized this long unless configured: 24 h.
const REMEMBER_SECONDS: u64 = 24 * 3600;
/// Commands per transaction unless configured.
const MAX_BATCH: u32 = 2000;

impl Config {
    /// From `HTTP_ADDR`, `KAFKA_BROKERS`, … and the engine's own settings: `INSTANCE_NAME`,
    /// `CHECKOUT_HOLD_SECONDS`, `CHECKOUT_REMEMBER_SECONDS`, `CHECKOUT_MAX_BATCH`.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let http = HttpConfig::from_env(env);
        let kafka = KafkaConfig::from_env(env);
        let cql = CqlConfig::from_env(env);
        let auth = AuthConfig::from_env(env);
        let instance_name = instance_name(env);
        let hold = env.or_in("CHECKOUT_HOLD_SECONDS", HOLD_SECONDS, 1..=86_400);
        let remember = env.or_in(
            "CHECKOUT_REMEMBER_SECONDS",
            REMEMBER_SECONDS,
            60..=30 * 86_400,
        );
        let max_batch = env.or_in("CHECKOUT_MAX_BATCH", MAX_BATCH, 1..=10_000);
        let kafka = kafka?;
        Some(Self {
            http: http?,
            engine: EngineConfig {
                brokers: kafka.brokers.clone(),
                event_partitions: kafka.event_partitions,
                instance_name: instance_name?,
                hold_for: Duration::from_secs(hold?),
                remember_for: Duration::from_secs(remember?),
                max_batch: max_batch? as usize,
            },
            kafka,
            cql: cql?,
            auth: auth?,
        })
    }
}
