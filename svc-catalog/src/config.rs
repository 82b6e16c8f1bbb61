//! Settings, from the environment.

use platform::config::{
    AppEnv, AuthConfig, CqlConfig, Env, HttpConfig, KafkaConfig, ServiceAuthConfig, http_url,
    instance_name,
};
use url::Url;

/// Everything that `serve` needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// `APP_ENV`.
    pub app_env: AppEnv,
    /// `INSTANCE_NAME`.
    pub instance_name: String,
    /// Where to listen.
    pub http: HttpConfig,
    /// Kafka and its registry.
    pub kafka: KafkaConfig,
    /// The database.
    pub cql: CqlConfig,
    /// Whose tokens to believe.
    pub auth: AuthConfig,
    /// Who knows what is sold.
    pub checkout: CheckoutConfig,
}

/// How svc-checkout is asked.
#[derive(Debug, Clone)]
pub struct CheckoutConfig {
    /// Its own port, not the gateway's (`CHECKOUT_URL`).
    pub url: Url,
    /// How this service proves that it may ask.
    pub auth: ServiceAuthConfig,
}

impl CheckoutConfig {
    /// From `CHECKOUT_URL`, `SERVICE_TOKEN_URL` and `SERVICE_SECRET`.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let url = http_url(env, "CHECKOUT_URL");
        let auth = ServiceAuthConfig::from_env(env);
        Some(Self {
            url: url?,
            auth: auth?,
        })
    }
}

impl Config {
    /// Reads every setting, so that all wrong ones are named at once.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let app_env = AppEnv::from_env(env);
        let instance_name = instance_name(env);
        let http = HttpConfig::from_env(env);
        let stores = Stores::from_env(env);
        let auth = AuthConfig::from_env(env);
        let checkout = CheckoutConfig::from_env(env);
        let Stores { kafka, cql } = stores?;
        Some(Self {
            app_env: app_env?,
            instance_name: instance_name?,
            http: http?,
            kafka,
            cql,
            auth: auth?,
            checkout: checkout?,
        })
    }
}

/// What `migrate` needs.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Kafka and its registry.
    pub kafka: KafkaConfig,
    /// The database.
    pub cql: CqlConfig,
}

impl Stores {
    /// Reads every setting, so that all wrong ones are named at once.
    pub fn from_env(env: &mut Env) -> Option<Self> {
        let kafka = KafkaConfig::from_env(env);
        let cql = CqlConfig::from_env(env);
        Some(Self {
            kafka: kafka?,
            cql: cql?,
        })
    }
}
