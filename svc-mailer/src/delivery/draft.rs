//! What a message says, to whom, as things stand now.

use platform::clock::Timestamp;
use secrecy::SecretString;

use super::{Delivery, DeliveryError};
use crate::domain::cause::Cause;
use crate::domain::ended_order::EndedOrder;
use crate::domain::event::Event;
use crate::domain::notification::{Content, Notification};
use crate::domain::order::PaidOrder;
use crate::domain::recipient::{Lookup, Recipient};
use crate::render::About;
use crate::smtp::Outgoing;

/// What can be done with a message that is to be sent.
pub(super) enum Draft {
    /// It can go out.
    Ready(Box<Letter>),
    /// It will never go out, for this reason.
    Dead(&'static str),
    /// Something that it is written from has not come yet.
    NotYet,
}

/// A mail, and what is kept of it.
pub(super) struct Letter {
    pub(super) content: Content,
    pub(super) outgoing: Outgoing,
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
    pub(super) async fn draft(
        &self,
        message: &Notification,
        now: Timestamp,
    ) -> Result<Draft, DeliveryError> {
        if message.cause.is_dead(now) {
            return Ok(Draft::Dead("the link has expired"));
        }
        let (recipient, matter) = match self.look_up(message).await? {
            Ok(found) => found,
            Err(Missing::Erased) => return Ok(Draft::Dead("the recipient was erased")),
            Err(Missing::NotYet(what)) if message.is_given_up(now) => return Ok(Draft::Dead(what)),
            Err(Missing::NotYet(what)) => {
                tracing::debug!(notification_id = %message.id, what, "message waits");
                return Ok(Draft::NotYet);
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
        let outgoing = Outgoing {
            id: message.id,
            name: recipient.name,
            address: recipient.email,
            date: now,
            mail,
        };
        Ok(Draft::Ready(Box::new(Letter { content, outgoing })))
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
}
