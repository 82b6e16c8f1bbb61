//! One try to send a message, by who has its claim.

use std::time::Duration;

use platform::clock::Timestamp;
use platform::cql::CqlError;
use uuid::Uuid;

use super::{Delivery, DeliveryError, Progress, chain};
use crate::domain::notification::{Notification, Status};
use crate::smtp::{Outgoing, Refusal};

/// Pause between tries to write down what an attempt came to.
const RECORD_PAUSE: Duration = Duration::from_millis(500);

impl Delivery {
    pub(super) async fn attempt(
        &self,
        begun: Notification,
        outgoing: Outgoing,
    ) -> Result<Progress, DeliveryError> {
        let id = begun.id;
        // Beside each other: a list that has to wait for the database does not keep the mail waiting.
        let listed = until_done(id, || self.list(&begun));
        let (sent, ()) = tokio::join!(self.smtp.send(outgoing), listed);
        let now = Timestamp::now_millis();
        let (status, reason) = match sent {
            Ok(()) => (Status::Sent, None),
            Err(Refusal::Permanent(reason)) => (Status::Failed, Some(reason)),
            Err(Refusal::Temporary(reason)) if begun.is_given_up(now) => {
                (Status::Failed, Some(reason))
            }
            Err(Refusal::Temporary(reason)) => {
                until_done(id, || self.notifications.release(&begun, &reason)).await;
                return Ok(Progress::Later(begun.next_try(now)));
            }
            Err(Refusal::Away(reason)) => {
                until_done(id, || self.notifications.release(&begun, &reason)).await;
                return Ok(Progress::ServerAway(reason));
            }
        };
        let ended = begun.settled(status, reason, now);
        if until_done(id, || self.notifications.settle(&ended)).await {
            self.announce(&ended).await?;
            return Ok(Progress::Settled);
        }
        // It has an end: this one, by a write whose answer was lost, or another one. Who looks again tells which.
        Ok(Progress::Later(now))
    }
}

/// Does not give up while the process lives: the server has answered, and a row that does not say so sends again.
async fn until_done<T, F>(id: Uuid, work: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, CqlError>>,
{
    loop {
        match work().await {
            Ok(done) => return done,
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(notification_id = %id, error, "what an attempt came to is not written down yet");
            }
        }
        tokio::time::sleep(RECORD_PAUSE).await;
    }
}
