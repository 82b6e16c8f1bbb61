//! Settings, from the environment, read once at start.
//!
//! A service with a wrong setting must not start, and whoever set it wrong should learn of all mistakes at once: [`Env`]
//! collects them and [`Env::read`] names each with the form it expects. Values are never repeated in an error, since
//! any of them may bear a password.

mod common;
mod env;
mod rate;

pub use common::{
    AppEnv, AuthConfig, CqlConfig, CqlCredentials, HttpConfig, KafkaConfig, LogConfig, LogFormat,
    ServiceAuthConfig, encryption_key, http_url, instance_name,
};
pub use env::{ConfigError, Env, LOCAL_SECRET_PREFIX, Setting, SettingProblem};
pub use rate::Rate;
