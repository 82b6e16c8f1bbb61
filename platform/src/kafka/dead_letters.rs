//! Where records go that no retry helps.

use rdkafka::message::{Message as _, OwnedMessage};
use schemas::dead::DeadLetter;
use schemas::topics::dead_letter_topic;

use super::headers::RecordHeaders;
use super::producer::{ProduceError, Producer};
use crate::avro::Encoder;
use crate::clock::Timestamp;
use crate::ids::derived_id;

/// The dead letter topics of a consumer group.
pub(super) struct DeadLetters {
    pub(super) group: String,
    /// The payload is left out.
    pub(super) personal: bool,
    pub(super) producer: Producer,
    pub(super) encoder: Encoder<DeadLetter>,
}

impl DeadLetters {
    /// Puts a record aside, with the reason.
    pub(super) async fn send(
        &self,
        message: &OwnedMessage,
        reason: &str,
    ) -> Result<(), ProduceError> {
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        tracing::error!(topic, partition, offset, reason, "dead letter");
        let now = Timestamp::now();
        let letter = DeadLetter {
            topic: topic.to_owned(),
            partition,
            offset,
            reason: reason.to_owned(),
            payload: message
                .payload()
                .filter(|_| !self.personal)
                .map(<[u8]>::to_vec),
            at: now.as_micros(),
        };
        let place = format!("{topic}/{partition}/{offset}");
        let headers = RecordHeaders {
            id: derived_id(uuid::Uuid::NAMESPACE_URL, &[&self.group, &place]),
            record_name: <DeadLetter as schemas::Record>::NAME,
            source: &format!("/{}", self.group),
            subject: &place,
            time: now,
            traceparent: None,
        };
        let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
        self.producer
            .send_to(
                &dead_letter_topic(topic, &self.group),
                0,
                &key,
                headers.to_owned_headers(),
                Some(&self.encoder.encode(&letter)),
            )
            .await
    }
}
