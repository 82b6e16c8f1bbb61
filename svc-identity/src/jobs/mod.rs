//! Timed loops.

pub mod forget_addresses;
pub mod reload_keys;
pub mod request_mails;
pub mod sweep_intents;
