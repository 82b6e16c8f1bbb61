//! Record headers after the CloudEvents Kafka binding.

use rdkafka::message::{Header, OwnedHeaders};
use uuid::Uuid;

use crate::clock::Timestamp;

/// What the headers of one record say.
#[derive(Debug, Clone, Copy)]
pub struct RecordHeaders<'a> {
    /// `ce_id`: deterministic, so that a replay makes the same one.
    pub id: Uuid,
    /// `ce_type`: the full record name.
    pub record_name: &'a str,
    /// `ce_source`: such as `/svc-checkout`.
    pub source: &'a str,
    /// `ce_subject`: the entity that the record is about.
    pub subject: &'a str,
    /// `ce_time`.
    pub time: Timestamp,
    /// W3C trace context of what caused the record.
    pub traceparent: Option<&'a str>,
}

impl RecordHeaders<'_> {
    /// The headers for rdkafka.
    pub fn to_owned_headers(self) -> OwnedHeaders {
        let mut buffer = Uuid::encode_buffer();
        let time = self.time.to_rfc3339();
        let mut headers = OwnedHeaders::new_with_capacity(8);
        let all = [
            ("ce_specversion", "1.0"),
            ("ce_id", self.id.hyphenated().encode_lower(&mut buffer)),
            ("ce_type", self.record_name),
            ("ce_source", self.source),
            ("ce_time", &time),
            ("ce_subject", self.subject),
            ("content-type", "application/avro"),
        ];
        for (key, value) in all {
            headers = headers.insert(Header {
                key,
                value: Some(value),
            });
        }
        if let Some(traceparent) = self.traceparent {
            headers = headers.insert(Header {
                key: "traceparent",
                value: Some(traceparent),
            });
        }
        headers
    }
}
