//! What every service needs to be a service: configuration, logs and metrics, HTTP with problems, callers and their
//! roles, what people are called, shutdown, Kafka and CQL.
//!
//! No rule about tickets lives here: a service could be about something else and use this crate unchanged. What each
//! module must never let happen stands at its top.

pub mod auth;
pub mod avro;
pub mod clock;
pub mod config;
pub mod context;
pub mod cql;
pub mod http;
pub mod ids;
pub mod intent;
pub mod kafka;
pub mod limit;
pub mod money;
pub mod parts;
pub mod person;
pub mod run;
pub mod shutdown;
pub mod telemetry;
pub mod text;
pub mod vault;

pub use run::{Main, Start, run_main, run_main_with};
