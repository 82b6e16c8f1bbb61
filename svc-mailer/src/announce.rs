//! Tells on mailer.notifications how messages ended. No recipients, no text.

use platform::avro::{Encoder, Registry, RegistryError};
use platform::clock::Timestamp;
use platform::ids::derived_id;
use platform::kafka::headers::RecordHeaders;
use platform::kafka::producer::{ProduceError, Producer};
use schemas::Record;
use schemas::mailer::{NotificationFailed, NotificationSent};
use schemas::topics::{MAILER_NOTIFICATIONS, Partitions};

use crate::domain::notification::{Notification, Status};

const SOURCE: &str = "/svc-mailer";

/// Registers what this service produces; again is the same.
pub async fn register(
    registry: &Registry,
) -> Result<(Encoder<NotificationSent>, Encoder<NotificationFailed>), RegistryError> {
    Ok((registry.register().await?, registry.register().await?))
}

/// The topic mailer.notifications.
pub struct Announcer {
    producer: Producer,
    sent: Encoder<NotificationSent>,
    failed: Encoder<NotificationFailed>,
    partitions: i32,
}

impl Announcer {
    /// Registers the records. `event_partitions` counts only if the topic follows the event.
    pub async fn new(
        producer: Producer,
        registry: &Registry,
        event_partitions: i32,
    ) -> Result<Self, RegistryError> {
        let (sent, failed) = register(registry).await?;
        let partitions = match MAILER_NOTIFICATIONS.partitions {
            Partitions::ByKey(count) => count,
            Partitions::ByEvent => event_partitions,
        };
        Ok(Self {
            producer,
            sent,
            failed,
            partitions,
        })
    }

    /// Produces the record about the message's end: the same one, with the same id, each time.
    pub async fn announce(&self, message: &Notification) -> Result<(), ProduceError> {
        let at = message.settled_at.unwrap_or(message.created_at);
        match message.status {
            Status::Queued => Ok(()),
            Status::Sent => {
                let record = NotificationSent {
                    notification_id: message.id,
                    template: message.cause.template().as_str().to_owned(),
                    order_id: message.cause.order_id(),
                    event_id: message.cause.event_id(),
                    user_id: Some(message.cause.user_id()),
                    attempts: i64::from(message.attempts),
                    sent_at: at.as_micros(),
                };
                self.produce::<NotificationSent>(message, at, &self.sent.encode(&record))
                    .await
            }
            Status::Failed => {
                let record = NotificationFailed {
                    notification_id: message.id,
                    template: message.cause.template().as_str().to_owned(),
                    order_id: message.cause.order_id(),
                    event_id: message.cause.event_id(),
                    user_id: Some(message.cause.user_id()),
                    attempts: i64::from(message.attempts),
                    reason: message.reason.clone().unwrap_or_default(),
                    failed_at: at.as_micros(),
                };
                self.produce::<NotificationFailed>(message, at, &self.failed.encode(&record))
                    .await
            }
        }
    }

    async fn produce<R: Record>(
        &self,
        message: &Notification,
        at: Timestamp,
        payload: &[u8],
    ) -> Result<(), ProduceError> {
        let headers = RecordHeaders {
            id: derived_id(message.id, &[message.status.as_str()]),
            record_name: R::NAME,
            source: SOURCE,
            subject: &message.id.to_string(),
            time: at,
            traceparent: message.traceparent.as_deref(),
        };
        self.producer
            .send(
                MAILER_NOTIFICATIONS.name,
                self.partitions,
                message.id,
                headers.to_owned_headers(),
                Some(payload),
            )
            .await
    }
}
