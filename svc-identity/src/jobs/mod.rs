//! Timed loops.

pub mod forget_addresses;
pub mod forget_cases;
pub mod release_claims;
pub mod reload_keys;
pub mod request_mails;
pub mod sweep_intents;
