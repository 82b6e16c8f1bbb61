//! One try to send a message.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use platform::cql::CqlError;
use platform::ids::new_id;
use secrecy::SecretString;
use uuid::Uuid;

use super::{Delivery, DeliveryError, Progress, chain};
use crate::domain::cause::Cause;
use crate::domain::ended_order::EndedOrder;
use crate::domain::event::Event;
use crate::domain::notification::{CLAIM_LEASE, Claim, Content, Notification, Status};
use crate::domain::order::PaidOrder;
use crate::domain::recipient::{Lookup, Recipient};
use crate::render::About;
use crate::smtp::{Outgoing, Refusal};
use crate::store::notification_list::{Entry, List};

/// Pause between tries to write down how an attempt ended.
const RECORD_PAUSE: Duration = Duration::from_millis(500);

/// How an attempt ended.
enum End {
    Sent,
    Failed(String),
    /// Somebody may try again.
    Released(String),
}

/// What a mail is written from, beside its cause.
enum Matter {
    Event(Event),
    Token(SecretString),
    /// The cause says it all.
    Nothing,
}

/// Why there is nothing to write a mail from.
enum Missing {
    Erased,
    NotYet(&'static str),
}

impl Delivery {
    /// `None`: the row has moved on.
    pub(super) async fn try_to_send(
        self: &Arc<Self>,
        message: &Notification,
        now: Timestamp,
    ) -> Result<Option<Progress>, DeliveryError> {
        if message.cause.is_dead(now) {
            self.fail(message.id, "the link has expired").await?;
            return Ok(None);
        }
        let (recipient, matter) = match self.look_up(message).await? {
            Ok(found) => found,
            Err(Missing::Erased) => {
                self.fail(message.id, "the recipient was erased").await?;
                return Ok(None);
            }
            Err(Missing::NotYet(what)) if message.is_given_up(now) => {
                self.fail(message.id, what).await?;
                return Ok(None);
            }
            Err(Missing::NotYet(what)) => {
                tracing::debug!(notification_id = %message.id, what, "message waits");
                return Ok(Some(Progress::Later(message.next_try(now))));
            }
        };
        let about = match (&message.cause, &matter) {
            (Cause::PaymentConfirmed(order), Matter::Event(event)) => {
                About::PaidOrder(order, event)
            }
            (Cause::OrderEnded(order), Matter::Event(event)) => About::EndedOrder(order, event),
            (Cause::Link(link), Matter::Token(token)) => About::Link(link, token),
            (Cause::PasswordChanged(change), Matter::Nothing) => About::PasswordChanged(change),
            (Cause::EmailChanged(change), Matter::Nothing) => About::EmailChanged(change),
            _ => unreachable!("what was looked up is what the message is about"),
        };
        let mail = self.renderer.render(&about, &recipient)?;
        let content = Content {
            language: mail.language.as_str().to_owned(),
            recipient: recipient.email.clone(),
            subject: mail.subject.clone(),
            text: mail.kept_text.clone(),
        };
        let claim = Claim {
            id: new_id(),
            holder: self.holder.clone(),
            until: now + CLAIM_LEASE,
        };
        let outgoing = Outgoing {
            id: message.id,
            name: recipient.name,
            address: recipient.email,
            date: now,
            mail,
        };
        let address = List::Address(content.recipient.clone());
        self.lists.put(&address, Entry::of(message)).await?;
        let attempt = Arc::clone(self).attempt(message.clone(), claim, content, outgoing);
        self.attempts.spawn(attempt).await?
    }

    async fn attempt(
        self: Arc<Self>,
        message: Notification,
        claim: Claim,
        content: Content,
        outgoing: Outgoing,
    ) -> Result<Option<Progress>, DeliveryError> {
        if !self.notifications.claim(&message, &claim, &content).await? {
            return Ok(None);
        }
        let sent = self.smtp.send(outgoing).await;
        let now = Timestamp::now();
        let (end, progress) = match sent {
            Ok(()) => (End::Sent, None),
            Err(Refusal::Permanent(reason)) => (End::Failed(reason), None),
            Err(Refusal::Temporary(reason)) if message.is_given_up(now) => {
                (End::Failed(reason), None)
            }
            Err(Refusal::Temporary(reason)) => (
                End::Released(reason),
                Some(Progress::Later(message.next_try(now))),
            ),
            Err(Refusal::Away(reason)) => (
                End::Released(reason.clone()),
                Some(Progress::ServerAway(reason)),
            ),
        };
        // Does not give up while the process lives: the server has answered, and a row that does not say so sends
        // again.
        while let Err(error) = self.record(message.id, claim.id, &end, now).await {
            let error = chain(&error);
            tracing::warn!(notification_id = %message.id, error, "the end of an attempt is not recorded yet");
            tokio::time::sleep(RECORD_PAUSE).await;
        }
        Ok(progress)
    }

    async fn record(
        &self,
        id: Uuid,
        claim_id: Uuid,
        end: &End,
        now: Timestamp,
    ) -> Result<(), CqlError> {
        let rows = &self.notifications;
        match end {
            End::Sent => rows.settle(id, Status::Sent, None, now).await,
            End::Failed(reason) => rows.settle(id, Status::Failed, Some(reason), now).await,
            End::Released(reason) => rows.release(id, claim_id, reason).await,
        }
    }

    async fn look_up(
        &self,
        message: &Notification,
    ) -> Result<Result<(Recipient, Matter), Missing>, DeliveryError> {
        let mut recipient = match self.recipients.find(message.cause.user_id()).await? {
            Lookup::Known(recipient) => recipient,
            Lookup::Erased => return Ok(Err(Missing::Erased)),
            Lookup::Unknown => return Ok(Err(Missing::NotYet("the recipient is not known"))),
        };
        let Some(address) = recipient.address_for(&message.cause) else {
            return Ok(Err(Missing::NotYet("the address is not known")));
        };
        recipient.email = address.to_owned();
        let matter = match &message.cause {
            Cause::PaymentConfirmed(PaidOrder { event_id, .. })
            | Cause::OrderEnded(EndedOrder { event_id, .. }) => {
                match self.events.find(*event_id).await? {
                    Some(event) => Matter::Event(event),
                    None => return Ok(Err(Missing::NotYet("the event is not known"))),
                }
            }
            Cause::PasswordChanged(_) | Cause::EmailChanged(_) => Matter::Nothing,
            Cause::Link(link) => match self.unseal(link) {
                Ok(token) => Matter::Token(token),
                Err(error) => {
                    tracing::error!(notification_id = %message.id, %error, "is MAILER_KEY_ENCRYPTION_KEY another one than before?");
                    return Ok(Err(Missing::NotYet("its token does not open")));
                }
            },
        };
        Ok(Ok((recipient, matter)))
    }

    async fn fail(&self, id: Uuid, reason: &str) -> Result<(), CqlError> {
        self.notifications
            .settle(id, Status::Failed, Some(reason), Timestamp::now())
            .await
    }
}
