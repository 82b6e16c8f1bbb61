//! Timed loops.

pub mod request_mails;
pub mod sweep_intents;
