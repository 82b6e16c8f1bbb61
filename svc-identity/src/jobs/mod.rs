//! Timed loops.

pub mod sweep_intents;
