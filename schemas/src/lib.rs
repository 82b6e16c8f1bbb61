//! The contract between the services: one Avro schema and one Rust struct per record.
//!
//! A schema lies in `<topic>/<Record>.avsc`; its struct bears the same name. [`Record`] ties
//! the two together and [`topics`] says how each topic is kept. A test holds every struct to
//! its schema. `released/<topic>/<Record>.<version>.avsc` keeps every version that records were
//! written with; the newest is the present one, and the gate (`e2e/tests/schema_gate.rs`) fails
//! a change after which a reader of any version could not read a record of any version.

use apache_avro::Schema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub mod catalog;
pub mod checkout;
pub mod dead;
pub mod identity;
pub mod mailer;
pub mod topics;

/// Microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;

/// An amount in minor units of an ISO 4217 currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Minor units: 2500 is 25.00 EUR.
    pub amount: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// A record type with its schema.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Topic that bears the record; empty for [`dead::DeadLetter`], which every dead topic bears.
    const TOPIC: &'static str;
    /// Full Avro name, such as `ticketing.checkout.OrderReserved`.
    const NAME: &'static str;
    /// The text of the `.avsc`.
    const SCHEMA_TEXT: &'static str;

    /// The parsed schema, parsed once.
    fn schema() -> &'static Schema;

    /// The registry's subject of the record on `topic` (TopicRecordName strategy: several
    /// record types share a topic where their order matters).
    fn subject(topic: &str) -> String {
        format!("{topic}-{}", Self::NAME)
    }
}

/// Implements [`Record`] for the struct `$name`, whose schema is in `$file`.
macro_rules! record {
    ($name:ident, $topic:literal, $full_name:literal, $file:literal) => {
        impl crate::Record for $name {
            const TOPIC: &'static str = $topic;
            const NAME: &'static str = $full_name;
            const SCHEMA_TEXT: &'static str = include_str!($file);

            fn schema() -> &'static apache_avro::Schema {
                static SCHEMA: std::sync::LazyLock<apache_avro::Schema> =
                    std::sync::LazyLock::new(|| {
                        crate::parse(<$name as crate::Record>::SCHEMA_TEXT)
                    });
                &SCHEMA
            }
        }
    };
}
pub(crate) use record;

/// Parses a schema that is part of this crate.
#[expect(
    clippy::expect_used,
    reason = "the text is compiled in and a test parses every schema"
)]
fn parse(text: &str) -> Schema {
    Schema::parse_str(text).expect("a schema of this crate parses")
}
