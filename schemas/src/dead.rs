//! What a consumer group could not use.

use serde::{Deserialize, Serialize};

use crate::{Micros, record};

/// A record that a consumer group could not use. On <topic>.<group>.dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Source topic.
    pub topic: String,
    /// Source partition.
    pub partition: i32,
    /// Source offset.
    pub offset: i64,
    /// Why.
    pub reason: String,
    /// The record's bytes, only where they are neither personal nor secret.
    #[serde(with = "apache_avro::serde::bytes_opt")]
    pub payload: Option<Vec<u8>>,
    /// When.
    pub at: Micros,
}

record!(
    DeadLetter,
    "",
    "ticketing.platform.DeadLetter",
    "../dead/DeadLetter.avsc"
);
