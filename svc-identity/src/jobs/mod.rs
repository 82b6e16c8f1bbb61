//! Timed loops.

pub mod reload_keys;
pub mod request_mails;
pub mod sweep_intents;
