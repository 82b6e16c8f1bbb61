//! Settings of the service, from the environment.

use std::fmt;

use lettre::SmtpTransport;
use lettre::message::Mailbox;
use lettre::transport::smtp::SmtpTransportBuilder;
use platform::config::{
    self, AppEnv, AuthConfig, CqlConfig, Env, HttpConfig, KafkaConfig, Setting as _,
};
use platform::vault::KEY_BYTES;
use secrecy::{ExposeSecret as _, SecretBox};
use url::Url;

use crate::smtp::MAX_CONNECTIONS;

/// Everything that `serve` needs.
#[derive(Debug)]
pub struct Config {
    /// Local or production.
    pub app_env: AppEnv,
    /// The name of this instance, the same after a restart.
    pub instance: String,
    /// Where it listens.
    pub http: HttpConfig,
    /// Whose tokens it believes.
    pub auth: AuthConfig,
    /// Kafka and the registry.
    pub kafka: KafkaConfig,
    /// The database.
    pub cql: CqlConfig,
    /// The mail server.
    pub smtp: SmtpConfig,
    /// Links in mails begin with it (`PUBLIC_URL`).
    pub public_url: Url,
    /// Seals the tokens of mails that wait (`MAILER_KEY_ENCRYPTION_KEY`).
    pub key_encryption_key: SecretBox<[u8; KEY_BYTES]>,
    /// Mails that are on their way at a time (`MAILS_AT_ONCE`).
    pub mails_at_once: usize,
}

/// Without `MAILS_AT_ONCE`. A mail server that takes 0.3 s for a mail gets 1,600 a minute, which is more than a hall; the
/// database has eight requests of ours in hand at most.
const MAILS_AT_ONCE: usize = 8;

/// Everything that `migrate` needs.
#[derive(Debug)]
pub struct MigrateConfig {
    /// Kafka and the registry.
    pub kafka: KafkaConfig,
    /// The database.
    pub cql: CqlConfig,
}

/// How mails leave.
pub struct SmtpConfig {
    /// `SMTP_URL`: host, port, TLS and credentials.
    pub transport: SmtpTransportBuilder,
    /// `MAIL_FROM`: whom mails come from.
    pub from: Mailbox,
}

impl fmt::Debug for SmtpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The transport may bear a password.
        f.debug_struct("SmtpConfig")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// From the environment; what is missing or wrong is noted in `env`.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let app_env = AppEnv::from_env(env);
        let instance = config::instance_name(env);
        let http = HttpConfig::from_env(env);
        let auth = AuthConfig::from_env(env);
        let kafka = KafkaConfig::from_env(env);
        let cql = CqlConfig::from_env(env);
        let smtp = SmtpConfig::from_env(env);
        let public_url = env.required_with("PUBLIC_URL", Url::EXPECTED, |text| {
            Url::parse(text)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https"))
        });
        let key_encryption_key = config::encryption_key(env, "MAILER_KEY_ENCRYPTION_KEY");
        let mails_at_once = env.or_in("MAILS_AT_ONCE", MAILS_AT_ONCE, 1..=MAX_CONNECTIONS);
        Some(Self {
            app_env: app_env?,
            instance: instance?,
            http: http?,
            auth: auth?,
            kafka: kafka?,
            cql: cql?,
            smtp: smtp?,
            public_url: public_url?,
            key_encryption_key: key_encryption_key?,
            mails_at_once: mails_at_once?,
        })
    }
}

impl MigrateConfig {
    /// From the environment; what is missing or wrong is noted in `env`.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let kafka = KafkaConfig::from_env(env);
        let cql = CqlConfig::from_env(env);
        Some(Self {
            kafka: kafka?,
            cql: cql?,
        })
    }
}

impl SmtpConfig {
    /// From `SMTP_URL`, a secret since it may bear a password, and `MAIL_FROM`.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let transport = env.secret("SMTP_URL").and_then(|url| {
            let transport = SmtpTransport::from_url(url.expose_secret()).ok();
            if transport.is_none() {
                env.reject(
                    "SMTP_URL",
                    "smtp://host:port, smtp://user:password@host:587?tls=required or smtps://user:password@host",
                );
            }
            transport
        });
        let from = env.parsed(
            "MAIL_FROM",
            "a mailbox such as Tickets <tickets@example.com>",
        );
        Some(Self {
            transport: transport?,
            from: from?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smtp(url: &str, from: &str) -> Result<SmtpConfig, config::ConfigError> {
        Env::from_map([("SMTP_URL", url), ("MAIL_FROM", from)]).read(SmtpConfig::from_env)
    }

    #[test]
    fn a_mail_server_is_a_url() {
        for url in [
            "smtp://127.0.0.1:1025",
            "smtp://user:hunter2@mail.example.com:587?tls=required",
            "smtps://user:hunter2@mail.example.com",
        ] {
            assert!(smtp(url, "Tickets <tickets@example.com>").is_ok(), "{url}");
        }
        let wrong = smtp("http://user:hunter2@mail.example.com", "Tickets").unwrap_err();
        let names: Vec<_> = wrong
            .problems()
            .iter()
            .map(|problem| problem.name.as_str())
            .collect();
        assert_eq!(names, ["SMTP_URL", "MAIL_FROM"]);
        assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
    }

    #[test]
    fn the_password_is_not_shown() {
        let config = smtp("smtp://user:hunter2@localhost", "a@example.com").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
