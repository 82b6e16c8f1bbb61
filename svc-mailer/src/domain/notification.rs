//! A message on its way: who may send it next, and when it is given up.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use platform::clock::Timestamp;
use uuid::Uuid;

use super::cause::Cause;

/// A claim ends by itself after this time. Longer than the slowest dialogue with a mail server that still gets
/// through ([`crate::smtp::REPLY_TIMEOUT`] for each of a dozen replies): nobody else may send meanwhile.
pub const CLAIM_LEASE: Duration = Duration::from_secs(15 * 60);
/// A message that a mail server keeps putting off, or whose recipient or event never becomes known, is given up after
/// this time: what RFC 5321 (4.5.4.1) asks of a mail server.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(4 * 24 * 60 * 60);
/// The pause before another try grows with the age of the message, between these bounds.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($(#[$variant_doc:meta])* $variant:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($(#[$variant_doc])* $variant,)* }

        impl $type {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name, in rows, records and answers.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|known| known.as_str() == text).ok_or(UnknownName)
            }
        }
    };
}

/// The text names nothing of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

names! {
    /// Where a message stands.
    Status {
        /// Not sent yet.
        Queued "queued",
        /// The mail server took it.
        Sent "sent",
        /// It will not be sent.
        Failed "failed",
    }
}

names! {
    /// By what way it goes.
    Kind {
        /// By SMTP.
        Email "email",
    }
}

names! {
    /// What it says.
    Template {
        /// The order is paid, here are the tickets.
        PaymentConfirmed "payment-confirmed",
        /// The event is cancelled, and your order with it.
        EventCancelled "event-cancelled",
        /// Your order was taken back.
        OrderRefunded "order-refunded",
        /// Please prove that this is your address.
        EmailVerification "email-verification",
        /// Here you can choose a new password.
        PasswordReset "password-reset",
        /// Somebody, you perhaps, chose another password.
        PasswordChanged "password-changed",
        /// Please prove that this is your new address.
        EmailChange "email-change",
        /// Somebody, you perhaps, has given your account another address than this one.
        EmailChanged "email-changed",
    }
}

/// What was said to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// BCP 47.
    pub language: String,
    /// The address.
    pub recipient: String,
    /// Subject.
    pub subject: String,
    /// The text part.
    pub text: String,
}

/// A running instance of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The same after a restart; no two instances have it at a time.
    pub instance: String,
    /// Another one after each start.
    pub boot: Uuid,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.instance, self.boot)
    }
}

impl FromStr for Holder {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let (instance, boot) = text.rsplit_once('/').ok_or(UnknownName)?;
        Ok(Self {
            instance: instance.to_owned(),
            boot: boot.parse().map_err(|_| UnknownName)?,
        })
    }
}

/// The right to send a message, held by one attempt at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The attempt.
    pub id: Uuid,
    /// Who makes it.
    pub holder: Holder,
    /// When the right ends by itself; in the past once it was given back.
    pub until: Timestamp,
}

/// A message and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Id.
    pub id: Uuid,
    /// By what way it goes.
    pub kind: Kind,
    /// What it is about.
    pub cause: Cause,
    /// Trace of what caused it.
    pub traceparent: Option<String>,
    /// When it was first owed.
    pub created_at: Timestamp,
    /// Where it stands.
    pub status: Status,
    /// Attempts begun.
    pub attempts: i32,
    /// The newest attempt.
    pub claim: Option<Claim>,
    /// What the newest attempt said; none before the first, or when its recipient was erased.
    pub content: Option<Content>,
    /// Why the newest attempt did not get through.
    pub reason: Option<String>,
    /// When it was sent or given up.
    pub settled_at: Option<Timestamp>,
    /// The record that tells of its end is out, as a version of before noted it here.
    pub announced: bool,
}

/// What to do with a message now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is settled and everybody was told.
    Nothing,
    /// It is settled: tell it, unless it was told.
    Announce,
    /// Somebody else is sending it; look again then.
    WaitUntil(Timestamp),
    /// Try to send it.
    Send,
}

impl Notification {
    /// A message that is owed from now on.
    pub fn queued(cause: Cause, traceparent: Option<&str>, now: Timestamp) -> Self {
        Self {
            id: cause.notification_id(),
            kind: Kind::Email,
            cause,
            traceparent: traceparent.map(str::to_owned),
            created_at: now,
            status: Status::Queued,
            attempts: 0,
            claim: None,
            content: None,
            reason: None,
            settled_at: None,
            announced: false,
        }
    }

    /// The message with one more attempt, which says `content`.
    #[must_use]
    pub fn begun(self, claim: Claim, content: Content) -> Self {
        Self {
            attempts: self.attempts.saturating_add(1),
            claim: Some(claim),
            content: Some(content),
            ..self
        }
    }

    /// The message at its end.
    #[must_use]
    pub fn settled(self, status: Status, reason: Option<String>, at: Timestamp) -> Self {
        Self {
            status,
            reason,
            settled_at: Some(at),
            ..self
        }
    }

    /// What `me` should do with the message at `now`.
    pub fn next_step(&self, me: &Holder, now: Timestamp) -> Step {
        match (self.status, &self.claim) {
            (Status::Sent | Status::Failed, _) if self.announced => Step::Nothing,
            (Status::Sent | Status::Failed, _) => Step::Announce,
            (Status::Queued, Some(claim)) if claim.until > now && !claim.is_orphaned(me) => {
                Step::WaitUntil(claim.until)
            }
            (Status::Queued, _) => Step::Send,
        }
    }

    /// Whether the message has waited so long that one more reason to wait ends it.
    pub fn is_given_up(&self, now: Timestamp) -> bool {
        now.since(self.created_at) >= GIVE_UP_AFTER
    }

    /// When to try again: after about as long as it has waited already.
    pub fn next_try(&self, now: Timestamp) -> Timestamp {
        now + now
            .since(self.created_at)
            .clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }
}

impl Claim {
    /// Whether the process that held the claim is gone: `me` bears its name. Without this a restart would wait for
    /// the lease.
    fn is_orphaned(&self, me: &Holder) -> bool {
        self.holder.instance == me.instance && self.holder.boot != me.boot
    }
}

#[cfg(test)]
mod tests {
    use platform::money::{Currency, Money};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::account_link::{AccountLink, LinkKind};
    use crate::domain::order::PaidOrder;

    const NOW: Timestamp = Timestamp::from_seconds(1_777_658_400);

    fn holder(instance: &str, boot: u128) -> Holder {
        Holder {
            instance: instance.into(),
            boot: Uuid::from_u128(boot),
        }
    }

    fn queued(claim: Option<(Holder, Timestamp)>) -> Notification {
        let cause = Cause::PaymentConfirmed(PaidOrder {
            id: Uuid::from_u128(1),
            event_id: Uuid::from_u128(2),
            user_id: Uuid::from_u128(3),
            number: "O-1".into(),
            tickets: Vec::new(),
            voucher: None,
            total: Money::zero(Currency::EUR),
        });
        let claim = claim.map(|(holder, until)| Claim {
            id: Uuid::nil(),
            holder,
            until,
        });
        Notification {
            claim,
            ..Notification::queued(cause, None, NOW)
        }
    }

    #[test]
    fn the_id_never_changes() {
        // Written down: another value here would mail every paid order once more on a replay.
        assert_eq!(
            queued(None).id.to_string(),
            "d0e917f7-c334-514c-a8bc-785674c60ee6"
        );
    }

    #[test]
    fn a_link_has_one_message_and_dies() {
        let link = |kind| {
            Cause::Link(AccountLink {
                kind,
                user_id: Uuid::from_u128(3),
                token_id: Uuid::from_u128(4),
                sealed_token: Vec::new(),
                expires_at: NOW,
            })
        };
        let verify = link(LinkKind::VerifyEmail);
        let reset = link(LinkKind::ResetPassword { user_version: 1 });
        assert_eq!(verify.notification_id(), verify.notification_id());
        assert_ne!(verify.notification_id(), reset.notification_id());
        assert!(!verify.is_dead(NOW.saturating_sub(SHORTEST_PAUSE)));
        assert!(verify.is_dead(NOW));
        assert!(!queued(None).cause.is_dead(NOW));
    }

    #[test]
    fn one_holder_sends_at_a_time() {
        let (me, later, earlier) = (holder("a", 1), NOW + CLAIM_LEASE, NOW);
        for (claim, step) in [
            (None, Step::Send),
            (Some((holder("b", 2), later)), Step::WaitUntil(later)),
            (Some((holder("b", 2), earlier)), Step::Send),
            (Some((me.clone(), later)), Step::WaitUntil(later)),
            (Some((holder("a", 9), later)), Step::Send),
        ] {
            assert_eq!(queued(claim.clone()).next_step(&me, NOW), step, "{claim:?}");
        }
    }

    #[test]
    fn a_settled_message_is_announced_once_and_never_sent() {
        for status in [Status::Sent, Status::Failed] {
            let mut settled = Notification {
                status,
                ..queued(None)
            };
            assert_eq!(settled.next_step(&holder("a", 1), NOW), Step::Announce);
            settled.announced = true;
            assert_eq!(settled.next_step(&holder("a", 1), NOW), Step::Nothing);
        }
    }

    #[test]
    fn pauses_grow_with_age_and_have_an_end() {
        let message = queued(None);
        let pause = |age| message.next_try(NOW + age).since(NOW + age);
        assert_eq!(pause(Duration::ZERO), SHORTEST_PAUSE);
        assert_eq!(pause(Duration::from_secs(60)), Duration::from_secs(60));
        assert_eq!(pause(GIVE_UP_AFTER), LONGEST_PAUSE);
        assert!(!message.is_given_up(NOW + (GIVE_UP_AFTER - SHORTEST_PAUSE)));
        assert!(message.is_given_up(NOW + GIVE_UP_AFTER));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
        }
        assert_eq!("Sent".parse::<Status>(), Err(UnknownName));
    }

    proptest! {
        #[test]
        fn a_holder_survives_text(instance in "[a-z0-9./-]{1,20}", boot in any::<u128>()) {
            let holder = holder(&instance, boot);
            prop_assert_eq!(holder.to_string().parse(), Ok(holder));
        }

        #[test]
        fn the_next_try_is_always_later(age_secs in 0..10_000_000_u64) {
            let now = NOW + Duration::from_secs(age_secs);
            prop_assert!(queued(None).next_try(now) > now);
        }
    }
}
