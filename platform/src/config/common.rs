//! The settings that services share, one struct for each concern.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{Env, Setting};
use crate::vault::KEY_BYTES;

/// Longest list of addresses in one setting.
const MAX_NODES: usize = 32;
/// Longest name of an instance; it becomes part of client and transaction ids.
const MAX_INSTANCE_NAME_LEN: usize = 64;

/// Where the service runs (`APP_ENV`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppEnv {
    /// On a developer's machine or in CI: secrets from the repository are allowed.
    Local,
    /// Where real people buy.
    Production,
}

impl Setting for AppEnv {
    const EXPECTED: &'static str = "local or production";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "local" => Some(Self::Local),
            "production" => Some(Self::Production),
            _ => None,
        }
    }
}

impl AppEnv {
    /// From `APP_ENV`, which has no default: neither guess would be safe.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        env.required("APP_ENV")
    }
}

/// The name of this instance (`INSTANCE_NAME`), the same after a restart: it is part of client and transaction ids.
pub fn instance_name(env: &mut Env) -> Option<String> {
    env.required_with(
        "INSTANCE_NAME",
        "1 to 64 letters, digits, dots, dashes or underscores",
        |text| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            (text.len() <= MAX_INSTANCE_NAME_LEN && text.chars().all(allowed))
                .then(|| text.to_owned())
        },
    )
}

/// The key of a [`Vault`](crate::vault::Vault), in base64. Secret.
pub fn encryption_key(env: &mut Env, name: &str) -> Option<SecretBox<[u8; KEY_BYTES]>> {
    let text = env.secret(name)?;
    let bytes = STANDARD.decode(text.expose_secret().trim()).ok();
    let key = bytes.and_then(|bytes| bytes.try_into().ok());
    if key.is_none() {
        env.reject(
            name,
            "32 random bytes in base64, such as `openssl rand -base64 32` prints",
        );
    }
    key.map(|key| SecretBox::new(Box::new(key)))
}

/// Where the service listens.
#[derive(Debug, Clone, Copy)]
pub struct HttpConfig {
    /// The public interface (`HTTP_ADDR`).
    pub http_addr: SocketAddr,
    /// Health and metrics (`ADMIN_ADDR`); never routed from outside.
    pub admin_addr: SocketAddr,
}

impl HttpConfig {
    /// From `HTTP_ADDR` and `ADMIN_ADDR`.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let http_addr = env.required("HTTP_ADDR");
        let admin_addr = env.required("ADMIN_ADDR");
        Some(Self {
            http_addr: http_addr?,
            admin_addr: admin_addr?,
        })
    }
}

/// How Kafka and the schema registry are reached.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// `host:port,host:port` (`KAFKA_BROKERS`).
    pub brokers: String,
    /// Partitions of every topic that follows the event (`EVENT_PARTITIONS`). One number for the whole system, never
    /// changed: another one would put an event's records in another partition.
    pub event_partitions: i32,
    /// Copies of each partition (`KAFKA_REPLICATION_FACTOR`).
    pub replication_factor: i32,
    /// The Confluent API of the registry (`SCHEMA_REGISTRY_URL`).
    pub schema_registry_url: Url,
}

impl KafkaConfig {
    /// From `KAFKA_BROKERS`, `EVENT_PARTITIONS`, `KAFKA_REPLICATION_FACTOR` and `SCHEMA_REGISTRY_URL`.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let brokers = env.required_with("KAFKA_BROKERS", NODES_EXPECTED, nodes);
        let event_partitions = env.required_in("EVENT_PARTITIONS", 1..=1_000);
        let replication_factor = env.required_in("KAFKA_REPLICATION_FACTOR", 1..=9);
        let schema_registry_url = http_url(env, "SCHEMA_REGISTRY_URL");
        Some(Self {
            brokers: brokers?.join(","),
            event_partitions: event_partitions?,
            replication_factor: replication_factor?,
            schema_registry_url: schema_registry_url?,
        })
    }
}

/// How ScyllaDB or Cassandra is reached.
#[derive(Debug, Clone)]
pub struct CqlConfig {
    /// `host:port` of some nodes; the driver finds the others (`CQL_NODES`).
    pub nodes: Vec<String>,
    /// The keyspace of this service (`CQL_KEYSPACE`).
    pub keyspace: String,
    /// Copies of each row (`CQL_REPLICATION_FACTOR`).
    pub replication_factor: u32,
    /// The data center that is asked (`CQL_DATACENTER`).
    pub datacenter: String,
    /// `CQL_USER` and `CQL_PASSWORD`, both or neither.
    pub credentials: Option<CqlCredentials>,
}

/// Who the service is for the database.
#[derive(Debug, Clone)]
pub struct CqlCredentials {
    /// `CQL_USER`.
    pub user: String,
    /// `CQL_PASSWORD`.
    pub password: SecretString,
}

impl CqlConfig {
    /// From `CQL_NODES`, `CQL_KEYSPACE`, `CQL_REPLICATION_FACTOR`, `CQL_DATACENTER`, `CQL_USER` and `CQL_PASSWORD`.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let nodes = env.required_with("CQL_NODES", NODES_EXPECTED, nodes);
        // A keyspace cannot be bound in a statement, so only what needs no quoting is let through.
        let keyspace = env.required_with(
            "CQL_KEYSPACE",
            "1 to 48 small letters, digits or underscores, a letter first",
            |text| {
                let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                (text.len() <= 48
                    && text.starts_with(|c: char| c.is_ascii_lowercase())
                    && text.chars().all(allowed))
                .then(|| text.to_owned())
            },
        );
        let replication_factor = env.required_in("CQL_REPLICATION_FACTOR", 1..=9);
        let datacenter = env.required("CQL_DATACENTER");
        let user = env.optional("CQL_USER");
        let password = env.optional_secret("CQL_PASSWORD");
        let credentials = match (user?, password?) {
            (Some(user), Some(password)) => Some(CqlCredentials { user, password }),
            (None, None) => None,
            (Some(_), None) => env.missing("CQL_PASSWORD", "a secret, since CQL_USER is set")?,
            (None, Some(_)) => env.missing("CQL_USER", "a name, since CQL_PASSWORD is set")?,
        };
        Some(Self {
            nodes: nodes?,
            keyspace: keyspace?,
            replication_factor: replication_factor?,
            datacenter: datacenter?,
            credentials,
        })
    }
}

/// Whose access tokens are believed.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// The `iss` of every token, to the letter (`AUTH_ISSUER`): the public origin.
    pub issuer: String,
    /// Where the issuer's keys are (`AUTH_JWKS_URL`).
    pub jwks_url: Url,
}

impl AuthConfig {
    /// From `AUTH_ISSUER` and `AUTH_JWKS_URL`.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        // Kept as text: a URL type would add a slash that the tokens do not have.
        let issuer = env.required_with(
            "AUTH_ISSUER",
            "an origin without a slash at its end, such as http://localhost:8080",
            |text| {
                (Url::parse(text).is_ok_and(|url| is_http(&url)) && !text.ends_with('/'))
                    .then(|| text.to_owned())
            },
        );
        let jwks_url = http_url(env, "AUTH_JWKS_URL");
        Some(Self {
            issuer: issuer?,
            jwks_url: jwks_url?,
        })
    }
}

/// How this service proves to the others that it is one of them.
#[derive(Debug, Clone)]
pub struct ServiceAuthConfig {
    /// Where a token is had for the secret (`SERVICE_TOKEN_URL`): `/v1/service-tokens` of the identity service.
    pub token_url: Url,
    /// This service's secret (`SERVICE_SECRET`); the identity service knows it, too.
    pub secret: SecretString,
}

impl ServiceAuthConfig {
    /// From `SERVICE_TOKEN_URL` and `SERVICE_SECRET`.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let token_url = http_url(env, "SERVICE_TOKEN_URL");
        let secret = env.secret("SERVICE_SECRET");
        Some(Self {
            token_url: token_url?,
            secret: secret?,
        })
    }
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `LOG_FORMAT`.
    pub format: LogFormat,
    /// Directives such as `info,svc_checkout=debug` (`RUST_LOG`).
    pub filter: String,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people at a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

impl Setting for LogFormat {
    const EXPECTED: &'static str = "text or json";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "text" => Some(Self::Text),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// rdkafka's own lines say once more what the service logs about the same failure.
const DEFAULT_LOG_FILTER: &str = "info,rdkafka=warn,librdkafka=error";

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: DEFAULT_LOG_FILTER.to_owned(),
        }
    }
}

impl LogConfig {
    /// From `LOG_FORMAT` and `RUST_LOG`, both with defaults.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let default = Self::default();
        let format = env.or("LOG_FORMAT", default.format);
        let filter = env.or("RUST_LOG", default.filter);
        let filter = filter.filter(|filter| {
            let valid = EnvFilter::builder().parse(filter).is_ok();
            if !valid {
                env.reject("RUST_LOG", "directives such as info,svc_checkout=debug");
            }
            valid
        });
        Some(Self {
            format: format?,
            filter: filter?,
        })
    }
}

const NODES_EXPECTED: &str = "host:port, or several with commas between them";

/// `host:port,host:port`, each with a port.
fn nodes(text: &str) -> Option<Vec<String>> {
    let nodes: Vec<String> = text.split(',').map(|node| node.trim().to_owned()).collect();
    let has_port = |node: &String| {
        node.rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    (nodes.len() <= MAX_NODES && nodes.iter().all(has_port)).then_some(nodes)
}

/// A URL that is asked over HTTP.
pub fn http_url(env: &mut Env, name: &str) -> Option<Url> {
    env.required_with(name, Url::EXPECTED, |text| {
        Url::parse(text).ok().filter(is_http)
    })
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.has_host()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    use crate::config::ConfigError;

    fn problems<T: fmt::Debug>(read: Result<T, ConfigError>) -> Vec<(String, bool)> {
        let error = read.expect_err("a wrong environment");
        error
            .problems()
            .iter()
            .map(|problem| (problem.name.clone(), problem.missing))
            .collect()
    }

    const GOOD: [(&str, &str); 13] = [
        ("HTTP_ADDR", "0.0.0.0:8103"),
        ("ADMIN_ADDR", "127.0.0.1:9103"),
        ("KAFKA_BROKERS", "a:9092, b:9092"),
        ("EVENT_PARTITIONS", "6"),
        ("KAFKA_REPLICATION_FACTOR", "1"),
        (
            "SCHEMA_REGISTRY_URL",
            "http://localhost:8085/apis/ccompat/v7",
        ),
        ("CQL_NODES", "localhost:9042"),
        ("CQL_KEYSPACE", "checkout"),
        ("CQL_REPLICATION_FACTOR", "1"),
        ("CQL_DATACENTER", "datacenter1"),
        ("AUTH_ISSUER", "http://localhost:8080"),
        (
            "AUTH_JWKS_URL",
            "http://localhost:8101/.well-known/jwks.json",
        ),
        ("INSTANCE_NAME", "checkout-1"),
    ];

    #[derive(Debug)]
    struct Config {
        http: HttpConfig,
        kafka: KafkaConfig,
        cql: CqlConfig,
        auth: AuthConfig,
        name: String,
        log: LogConfig,
    }

    fn config(env: &mut Env) -> Option<Config> {
        let http = HttpConfig::from_env(env);
        let kafka = KafkaConfig::from_env(env);
        let cql = CqlConfig::from_env(env);
        let auth = AuthConfig::from_env(env);
        let name = instance_name(env);
        let log = LogConfig::from_env(env);
        Some(Config {
            http: http?,
            kafka: kafka?,
            cql: cql?,
            auth: auth?,
            name: name?,
            log: log?,
        })
    }

    #[test]
    fn a_good_environment_is_read() {
        let config = Env::from_map(GOOD).read(config).unwrap();
        assert_eq!(config.http.http_addr.port(), 8103);
        assert_eq!(config.http.admin_addr.port(), 9103);
        assert_eq!(config.kafka.brokers, "a:9092,b:9092");
        assert_eq!(config.kafka.event_partitions, 6);
        assert_eq!(config.cql.nodes, ["localhost:9042"]);
        assert!(config.cql.credentials.is_none());
        assert_eq!(config.auth.issuer, "http://localhost:8080");
        assert_eq!(config.name, "checkout-1");
        assert_eq!(config.log, LogConfig::default());
    }

    #[test]
    fn an_empty_environment_names_every_setting_once() {
        let missing = problems(Env::from_map([("", ""); 0]).read(config));
        let expected: Vec<_> = GOOD
            .iter()
            .map(|(name, _)| ((*name).to_owned(), true))
            .collect();
        assert_eq!(missing, expected);
    }

    #[test]
    fn each_wrong_value_is_named_and_not_repeated() {
        for (name, wrong) in [
            ("HTTP_ADDR", "8103"),
            ("ADMIN_ADDR", "localhost"),
            ("KAFKA_BROKERS", "a:9092,b"),
            ("KAFKA_BROKERS", "a:9092,"),
            ("EVENT_PARTITIONS", "4096"),
            ("EVENT_PARTITIONS", "6.5"),
            ("KAFKA_REPLICATION_FACTOR", "-1"),
            ("SCHEMA_REGISTRY_URL", "registry:8085"),
            ("CQL_NODES", ":9042"),
            ("CQL_KEYSPACE", "checkout; DROP"),
            ("CQL_KEYSPACE", "1checkout"),
            ("AUTH_ISSUER", "http://localhost:8080/"),
            ("AUTH_ISSUER", "gateway"),
            ("AUTH_JWKS_URL", "file:///etc/passwd"),
            ("INSTANCE_NAME", "checkout 1"),
            ("LOG_FORMAT", "xml"),
            ("RUST_LOG", "info,=,="),
        ] {
            let read = Env::from_map(GOOD.into_iter().chain([(name, wrong)])).read(config);
            let text = read.as_ref().expect_err(wrong).to_string();
            assert!(!text.contains(wrong), "{text}");
            assert_eq!(problems(read), [(name.to_owned(), false)], "{wrong}");
        }
    }

    #[test]
    fn a_user_without_a_password_is_named() {
        for (given, wanted) in [("CQL_USER", "CQL_PASSWORD"), ("CQL_PASSWORD", "CQL_USER")] {
            let env = Env::from_map(GOOD.into_iter().chain([(given, "kT4vJ2")]));
            assert_eq!(problems(env.read(config)), [(wanted.to_owned(), true)]);
        }
    }
}
