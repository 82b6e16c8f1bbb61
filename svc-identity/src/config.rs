//! Settings, from the environment.

mod limits;

use std::num::NonZeroUsize;
use std::time::Duration;

use platform::config::{
    AppEnv, AuthConfig, CqlConfig, Env, HttpConfig, KafkaConfig, encryption_key, http_url,
    instance_name,
};
use platform::http::client::TrustedProxies;
use platform::vault::KEY_BYTES;
use secrecy::{ExposeSecret as _, SecretBox, SecretString};
use url::Url;

pub use self::limits::LimitConfig;
use crate::domain::email::Email;
use crate::domain::password;
use crate::service_secrets::ServiceSecrets;

/// The password of the local stack's users. Everyone can read it here, so production refuses it.
const LOCAL_PASSWORD: &str = "correct horse battery staple";
const KEY_ENCRYPTION_KEY: &str = "IDENTITY_KEY_ENCRYPTION_KEY";
/// Who may ask for a token, and the setting with its secret.
const SERVICES: [(&str, &str); 1] = [("svc-catalog", "IDENTITY_SECRET_OF_SVC_CATALOG")];
/// Shortest secret of a service: 32 characters of base64 are 192 bits.
const MIN_SERVICE_SECRET_BYTES: usize = 32;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// All settings of the service.
pub struct Config {
    /// Where it listens.
    pub http: HttpConfig,
    /// How Kafka and the registry are reached.
    pub kafka: KafkaConfig,
    /// How the database is reached.
    pub cql: CqlConfig,
    /// The issuer, which this service is, and where its keys are fetched from like by everyone else.
    pub auth: AuthConfig,
    /// The name of this instance.
    pub instance_name: String,
    /// The gateway, whose word about its clients is believed (`TRUSTED_PROXIES`).
    pub trusted_proxies: TrustedProxies,
    /// How often somebody may try.
    pub limits: LimitConfig,
    /// What a password costs.
    pub passwords: PasswordConfig,
    /// When a user must sign in again (`IDENTITY_SESSION_LIFETIME`).
    pub session_lifetime: Duration,
    /// Encrypts the signing keys at rest (`IDENTITY_KEY_ENCRYPTION_KEY`).
    pub key_encryption_key: SecretBox<[u8; KEY_BYTES]>,
    /// How long the audit trail is kept (`IDENTITY_AUDIT_KEPT_FOR`).
    pub audit_kept_for: Duration,
    /// How long a support case is kept that is closed (`IDENTITY_CLOSED_CASES_KEPT_FOR`).
    pub closed_cases_kept_for: Duration,
    /// Whether who registers is asked by mail to prove the address (`IDENTITY_VERIFY_AT_REGISTRATION`).
    pub verify_at_registration: bool,
    /// Who is made admin at the first start, if anyone.
    pub first_admin: Option<FirstAdmin>,
    /// svc-checkout's own port, not the gateway's (`CHECKOUT_URL`).
    pub checkout_url: Url,
    /// svc-catalog's own port, not the gateway's (`CATALOG_URL`).
    pub catalog_url: Url,
    /// svc-mailer's own port, not the gateway's (`MAILER_URL`).
    pub mailer_url: Url,
    /// How long another service is waited for while somebody waits for us (`IDENTITY_NEIGHBOUR_DEADLINE`).
    pub neighbour_deadline: Duration,
    /// The secrets of the services that may have a token.
    pub service_secrets: ServiceSecrets,
}

/// What `migrate` needs.
pub struct MigrateConfig {
    /// How Kafka and the registry are reached.
    pub kafka: KafkaConfig,
    /// How the database is reached.
    pub cql: CqlConfig,
}

/// What `rotate-keys` needs.
pub struct RotateConfig {
    /// How long the audit trail is kept.
    pub audit_kept_for: Duration,
    /// How the database is reached.
    pub cql: CqlConfig,
    /// Encrypts the signing keys at rest.
    pub key_encryption_key: SecretBox<[u8; KEY_BYTES]>,
}

/// The cost of Argon2id and how much of it is paid at a time.
#[derive(Debug, Clone, Copy)]
pub struct PasswordConfig {
    /// Memory of one hash in KiB (`IDENTITY_ARGON2_MEMORY_KIB`).
    pub memory_kib: u32,
    /// Passes over the memory (`IDENTITY_ARGON2_ITERATIONS`).
    pub iterations: u32,
    /// Lanes (`IDENTITY_ARGON2_LANES`).
    pub lanes: u32,
    /// Hashes at a time (`IDENTITY_HASH_THREADS`).
    pub threads: usize,
    /// Hashes that may wait; one more is refused (`IDENTITY_HASH_QUEUE`).
    pub queue: usize,
}

/// `IDENTITY_FIRST_ADMIN_EMAIL` and `IDENTITY_FIRST_ADMIN_PASSWORD`.
pub struct FirstAdmin {
    /// The address.
    pub email: Email,
    /// The password, which the policy allows.
    pub password: SecretString,
}

impl Config {
    /// Reads all settings and notes each that is missing or wrong.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let app_env = AppEnv::from_env(env);
        let http = HttpConfig::from_env(env);
        let kafka = KafkaConfig::from_env(env);
        let cql = CqlConfig::from_env(env);
        let auth = AuthConfig::from_env(env);
        let instance_name = instance_name(env);
        // No default: to believe everyone or nobody would each be wrong behind a gateway.
        let trusted_proxies = env.required("TRUSTED_PROXIES");
        let limits = LimitConfig::from_env(env);
        let passwords = PasswordConfig::from_env(env);
        let session_lifetime = env.or_in(
            "IDENTITY_SESSION_LIFETIME",
            30 * DAY,
            Duration::from_secs(60)..=365 * DAY,
        );
        let key_encryption_key = encryption_key(env, KEY_ENCRYPTION_KEY);
        let audit_kept_for = audit_kept_for(env);
        let closed_cases_kept_for = env.or_in(
            "IDENTITY_CLOSED_CASES_KEPT_FOR",
            3 * 365 * DAY,
            DAY..=3_650 * DAY,
        );
        let verify_at_registration = env.or("IDENTITY_VERIFY_AT_REGISTRATION", true);
        let first_admin = first_admin(env, app_env);
        let service_secrets = service_secrets(env);
        let checkout_url = http_url(env, "CHECKOUT_URL");
        let catalog_url = http_url(env, "CATALOG_URL");
        let mailer_url = http_url(env, "MAILER_URL");
        // Below what a request may take: it is answered, and its entry in the audit trail ended, after it.
        let neighbour_deadline = env.or_in(
            "IDENTITY_NEIGHBOUR_DEADLINE",
            Duration::from_secs(2),
            Duration::from_millis(100)..=Duration::from_secs(8),
        );
        Some(Self {
            http: http?,
            kafka: kafka?,
            cql: cql?,
            auth: auth?,
            instance_name: instance_name?,
            trusted_proxies: trusted_proxies?,
            limits: limits?,
            passwords: passwords?,
            session_lifetime: session_lifetime?,
            key_encryption_key: key_encryption_key?,
            audit_kept_for: audit_kept_for?,
            closed_cases_kept_for: closed_cases_kept_for?,
            verify_at_registration: verify_at_registration?,
            first_admin: first_admin?,
            checkout_url: checkout_url?,
            catalog_url: catalog_url?,
            mailer_url: mailer_url?,
            neighbour_deadline: neighbour_deadline?,
            service_secrets: service_secrets?,
        })
    }
}

impl MigrateConfig {
    /// Reads the settings of the stores.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let kafka = KafkaConfig::from_env(env);
        let cql = CqlConfig::from_env(env);
        Some(Self {
            kafka: kafka?,
            cql: cql?,
        })
    }
}

impl RotateConfig {
    /// Reads the settings of the database and of the keys.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let cql = CqlConfig::from_env(env);
        let key_encryption_key = encryption_key(env, KEY_ENCRYPTION_KEY);
        let audit_kept_for = audit_kept_for(env);
        Some(Self {
            audit_kept_for: audit_kept_for?,
            cql: cql?,
            key_encryption_key: key_encryption_key?,
        })
    }
}

impl PasswordConfig {
    /// The defaults of the cost are those that OWASP's Password Storage Cheat Sheet names first, and the least: nobody makes
    /// passwords cheap by a setting.
    fn from_env(env: &mut Env) -> Option<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let memory_kib = env.or_in("IDENTITY_ARGON2_MEMORY_KIB", 19_456, 19_456..=1_048_576);
        let iterations = env.or_in("IDENTITY_ARGON2_ITERATIONS", 2, 2..=100);
        let lanes = env.or_in("IDENTITY_ARGON2_LANES", 1, 1..=16);
        let threads = env.or_in("IDENTITY_HASH_THREADS", cores, 1..=256);
        let queue = env.or_in("IDENTITY_HASH_QUEUE", 64, 1..=10_000);
        Some(Self {
            memory_kib: memory_kib?,
            iterations: iterations?,
            lanes: lanes?,
            threads: threads?,
            queue: queue?,
        })
    }
}

/// A service without a secret here gets no token.
fn service_secrets(env: &mut Env) -> Option<ServiceSecrets> {
    let mut secrets = ServiceSecrets::default();
    let mut all_good = true;
    for (service, name) in SERVICES {
        match env.optional_secret(name) {
            Some(None) => {}
            Some(Some(secret)) if secret.expose_secret().len() >= MIN_SERVICE_SECRET_BYTES => {
                secrets.add(service, &secret);
            }
            Some(Some(_)) => {
                env.reject(
                    name,
                    format!("at least {MIN_SERVICE_SECRET_BYTES} characters"),
                );
                all_good = false;
            }
            None => all_good = false,
        }
    }
    all_good.then_some(secrets)
}

fn audit_kept_for(env: &mut Env) -> Option<Duration> {
    env.or_in("IDENTITY_AUDIT_KEPT_FOR", 90 * DAY, DAY..=3_650 * DAY)
}

/// The outer `None` means that something is wrong.
fn first_admin(env: &mut Env, app_env: Option<AppEnv>) -> Option<Option<FirstAdmin>> {
    const EMAIL: &str = "IDENTITY_FIRST_ADMIN_EMAIL";
    const PASSWORD: &str = "IDENTITY_FIRST_ADMIN_PASSWORD";
    let email: Option<String> = env.optional(EMAIL)?;
    let password = env.optional_secret(PASSWORD)?;
    let (email, password) = match (email, password) {
        (None, None) => return Some(None),
        (Some(email), Some(password)) => (email, password),
        _ => {
            env.reject(EMAIL, format!("{EMAIL} and {PASSWORD} both or neither"));
            return None;
        }
    };
    let parsed = Email::parse(&email);
    if let Err(error) = parsed {
        env.reject(EMAIL, error.allowed);
    }
    let checked = password::check_new(password.expose_secret());
    if let Err(error) = checked {
        env.reject(PASSWORD, error.allowed);
    }
    let known = password.expose_secret() == LOCAL_PASSWORD && app_env != Some(AppEnv::Local);
    if known {
        env.reject(
            PASSWORD,
            "a password of your own, not the one of the local stack",
        );
    }
    let email = parsed.ok().filter(|_| checked.is_ok() && !known)?;
    Some(Some(FirstAdmin { email, password }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(more: &[(&'static str, &'static str)]) -> Env {
        let base = [
            ("APP_ENV", "local"),
            ("HTTP_ADDR", "127.0.0.1:8101"),
            ("ADMIN_ADDR", "127.0.0.1:9101"),
            ("KAFKA_BROKERS", "localhost:9092"),
            ("EVENT_PARTITIONS", "6"),
            ("KAFKA_REPLICATION_FACTOR", "1"),
            ("SCHEMA_REGISTRY_URL", "http://localhost:8085"),
            ("CQL_NODES", "localhost:9042"),
            ("CQL_KEYSPACE", "identity"),
            ("CQL_REPLICATION_FACTOR", "1"),
            ("CQL_DATACENTER", "datacenter1"),
            ("AUTH_ISSUER", "http://localhost:8080"),
            (
                "AUTH_JWKS_URL",
                "http://localhost:8101/.well-known/jwks.json",
            ),
            ("INSTANCE_NAME", "svc-identity-1"),
            ("TRUSTED_PROXIES", "127.0.0.1"),
            ("CHECKOUT_URL", "http://localhost:8103"),
            ("CATALOG_URL", "http://localhost:8102"),
            ("MAILER_URL", "http://localhost:8104"),
            (
                "IDENTITY_KEY_ENCRYPTION_KEY",
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            ),
        ];
        Env::from_map(base.into_iter().chain(more.iter().copied()))
    }

    fn wrong(more: &[(&'static str, &'static str)]) -> Vec<String> {
        match env(more).read(Config::from_env) {
            Ok(_) => vec![],
            Err(error) => error
                .problems()
                .iter()
                .map(|problem| problem.name.clone())
                .collect(),
        }
    }

    const EMAIL: (&str, &str) = ("IDENTITY_FIRST_ADMIN_EMAIL", "admin@example.com");
    const PASSWORD: (&str, &str) = ("IDENTITY_FIRST_ADMIN_PASSWORD", LOCAL_PASSWORD);

    #[test]
    fn the_local_password_is_for_local_stacks() {
        assert!(wrong(&[]).is_empty());
        assert!(wrong(&[EMAIL, PASSWORD]).is_empty());
        assert_eq!(
            wrong(&[EMAIL, PASSWORD, ("APP_ENV", "production")]),
            [PASSWORD.0]
        );
        let own = (PASSWORD.0, "another horse");
        assert!(wrong(&[EMAIL, own, ("APP_ENV", "production")]).is_empty());
    }

    #[test]
    fn half_a_first_admin_is_refused() {
        assert_eq!(wrong(&[EMAIL]), [EMAIL.0]);
        assert_eq!(wrong(&[PASSWORD]), [EMAIL.0]);
        assert_eq!(
            wrong(&[(EMAIL.0, "admin"), (PASSWORD.0, "short")]),
            [EMAIL.0, PASSWORD.0]
        );
    }

    #[test]
    fn no_setting_makes_passwords_cheaper_than_the_default() {
        for (name, less, more) in [
            ("IDENTITY_ARGON2_MEMORY_KIB", "19455", "65536"),
            ("IDENTITY_ARGON2_ITERATIONS", "1", "3"),
            ("IDENTITY_ARGON2_LANES", "0", "2"),
        ] {
            assert_eq!(wrong(&[(name, less)]), [name]);
            assert!(wrong(&[(name, more)]).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        for key in [
            "AAAA",
            "not base64",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let name = "IDENTITY_KEY_ENCRYPTION_KEY";
            assert_eq!(wrong(&[(name, key)]), [name]);
        }
    }
}
