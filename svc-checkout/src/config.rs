//! Settings, read once from the environment.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::config::{AuthConfig, CqlConfig, Env, HttpConfig, KafkaConfig, Rate, instance_name};
use secrecy::SecretBox;

use crate::box_office::EngineConfig;

mod payment;

pub use payment::{PaymentConfig, SimulatedConfig, StripeConfig};

/// Bytes of the seed of the key that signs ticket codes: Ed25519.
pub const TICKET_SIGNING_KEY_BYTES: usize = 32;

/// Everything that `serve` needs.
#[derive(Debug)]
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
    /// Seed of the key that signs ticket codes (`CHECKOUT_TICKET_SIGNING_KEY`).
    pub ticket_signing_key: SecretBox<[u8; TICKET_SIGNING_KEY_BYTES]>,
    /// Orders of one user with a voucher that is none (`CHECKOUT_LIMIT_VOUCHER_GUESSES`).
    pub voucher_guesses: Rate,
    /// Who takes the money.
    pub payment: PaymentConfig,
}

/// Everything that `migrate`, `rebuild` and `audit` need.
#[derive(Debug)]
pub struct StoresConfig {
    /// Kafka and the registry.
    pub kafka: KafkaConfig,
    /// The keyspace.
    pub cql: CqlConfig,
}

/// A hold lasts this long unless configured: 10 min.
const HOLD_SECONDS: u64 = 600;
/// Repeats of a command are recognized this long unless configured: 24 h.
const REMEMBER_SECONDS: u64 = 24 * 3600;
/// Commands per transaction unless configured.
const MAX_BATCH: u32 = 2000;
/// Configured at most: the commands of a batch that had an effect are one record, of 108 bytes each, and a producer takes records of
/// 1,000,000 bytes.
pub const LARGEST_BATCH: u32 = 5000;
/// Unless configured: more than anybody mistypes, and at most 1,450 codes a day.
const VOUCHER_GUESSES: Rate = Rate::new(10, 10 * 60);

impl Config {
    /// From `HTTP_ADDR`, `KAFKA_BROKERS`, …, the engine's own settings (`INSTANCE_NAME`,
    /// `CHECKOUT_HOLD_SECONDS`, `CHECKOUT_REMEMBER_SECONDS`, `CHECKOUT_MAX_BATCH`),
    /// `CHECKOUT_TICKET_SIGNING_KEY`, `CHECKOUT_LIMIT_VOUCHER_GUESSES` and those of [`PaymentConfig`].
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
        let max_batch = env.or_in("CHECKOUT_MAX_BATCH", MAX_BATCH, 1..=LARGEST_BATCH);
        let ticket_signing_key = ticket_signing_key(env);
        let voucher_guesses = env.or("CHECKOUT_LIMIT_VOUCHER_GUESSES", VOUCHER_GUESSES);
        let payment = PaymentConfig::from_env(env);
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
            ticket_signing_key: ticket_signing_key?,
            voucher_guesses: voucher_guesses?,
            payment: payment?,
        })
    }
}

impl StoresConfig {
    /// From the settings of the stores: none of these commands needs the key that signs.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let kafka = KafkaConfig::from_env(env);
        let cql = CqlConfig::from_env(env);
        Some(Self {
            kafka: kafka?,
            cql: cql?,
        })
    }
}

fn ticket_signing_key(env: &mut Env) -> Option<SecretBox<[u8; TICKET_SIGNING_KEY_BYTES]>> {
    env.required_with(
        "CHECKOUT_TICKET_SIGNING_KEY",
        "32 random bytes in base64, such as `openssl rand -base64 32` prints, the same for every instance",
        |text| {
            let key = STANDARD.decode(text).ok()?.try_into().ok()?;
            Some(SecretBox::new(Box::new(key)))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "CHECKOUT_TICKET_SIGNING_KEY";
    const KEY: &str = "c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlLiE=";

    fn read(key: &'static str) -> Result<Config, platform::config::ConfigError> {
        Env::from_map([
            ("HTTP_ADDR", "127.0.0.1:8103"),
            ("ADMIN_ADDR", "127.0.0.1:9103"),
            ("KAFKA_BROKERS", "localhost:9092"),
            ("EVENT_PARTITIONS", "6"),
            ("KAFKA_REPLICATION_FACTOR", "1"),
            ("SCHEMA_REGISTRY_URL", "http://localhost:8085"),
            ("CQL_NODES", "localhost:9042"),
            ("CQL_KEYSPACE", "checkout"),
            ("CQL_REPLICATION_FACTOR", "1"),
            ("CQL_DATACENTER", "datacenter1"),
            ("AUTH_ISSUER", "http://localhost:8080"),
            (
                "AUTH_JWKS_URL",
                "http://localhost:8101/.well-known/jwks.json",
            ),
            ("INSTANCE_NAME", "svc-checkout-1"),
            ("CHECKOUT_PAYMENT_PROVIDER", "simulated"),
            (NAME, key),
        ])
        .read(Config::from_env)
    }

    #[test]
    fn a_key_has_32_bytes_in_base64() {
        assert!(read(KEY).is_ok());
        for (key, missing) in [
            ("", true),
            ("AAAA", false),
            ("not base64", false),
            ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false),
        ] {
            let error = read(key).unwrap_err();
            let [problem] = error.problems() else {
                panic!("{key:?}: {error}");
            };
            assert_eq!((problem.name.as_str(), problem.missing), (NAME, missing));
            assert!(
                problem.expected.contains("openssl rand -base64 32"),
                "{error}"
            );
        }
    }

    #[test]
    fn the_limit_of_guesses_is_the_documented_one() {
        const ROW: &str = "| orders with a voucher that is none";
        let Rate { times, per } = read(KEY).unwrap().voucher_guesses;
        let minutes = per.as_secs() / 60;
        let mut api = include_str!("../../docs/API.md").lines();
        let row = api.find(|line| line.starts_with(ROW)).unwrap();
        assert!(
            row.ends_with(&format!(" | {times} in {minutes} minutes |")),
            "{row}"
        );
        let setting = format!("| CHECKOUT_LIMIT_VOUCHER_GUESSES | {times}/{minutes}m |");
        assert!(include_str!("../README.md").contains(&setting), "{setting}");
    }

    #[test]
    fn the_key_is_not_shown() {
        let shown = format!("{:?}", read(KEY).unwrap());
        let bytes = STANDARD.decode(KEY).unwrap();
        assert!(
            !shown.contains(KEY) && !shown.contains(&format!("{bytes:?}")),
            "{shown}"
        );
    }
}
