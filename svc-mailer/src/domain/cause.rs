//! What a message is about, and what follows from that alone.

use platform::clock::Timestamp;
use platform::ids::derived_id;
use uuid::Uuid;

use super::account_change::AccountChange;
use super::account_link::{AccountLink, LinkKind};
use super::ended_order::{EndReason, EndedOrder};
use super::notification::Template;
use super::order::PaidOrder;

/// What the message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// An order was paid.
    PaymentConfirmed(PaidOrder),
    /// An order ended before its time.
    OrderEnded(EndedOrder),
    /// A link is to prove who reads mail at an address.
    Link(AccountLink),
    /// An account has another password.
    PasswordChanged(AccountChange),
    /// An account has another address, which is told at the one before.
    EmailChanged(AccountChange),
}

/// What messages about an order say.
const ABOUT_ORDERS: [Template; 3] = [
    Template::PaymentConfirmed,
    Template::EventCancelled,
    Template::OrderRefunded,
];

impl Cause {
    /// The ids of all messages that there may be about an order.
    pub fn ids_about_order(order_id: Uuid) -> [Uuid; 3] {
        ABOUT_ORDERS.map(|template| derived_id(order_id, &[template.as_str()]))
    }

    /// The id of the message: one cause, one message, however often the record comes.
    pub fn notification_id(&self) -> Uuid {
        let about = match self {
            Self::PaymentConfirmed(order) => order.id,
            Self::OrderEnded(order) => order.id,
            Self::Link(link) => link.token_id,
            Self::PasswordChanged(change) | Self::EmailChanged(change) => change.notice_id,
        };
        derived_id(about, &[self.template().as_str()])
    }

    /// What the message says.
    pub const fn template(&self) -> Template {
        match self {
            Self::PaymentConfirmed(_) => Template::PaymentConfirmed,
            Self::OrderEnded(order) => match order.reason {
                EndReason::EventCancelled => Template::EventCancelled,
                EndReason::Refunded => Template::OrderRefunded,
            },
            Self::Link(link) => match link.kind {
                LinkKind::VerifyEmail => Template::EmailVerification,
                LinkKind::ResetPassword { .. } => Template::PasswordReset,
                LinkKind::ChangeEmail { .. } => Template::EmailChange,
            },
            Self::PasswordChanged(_) => Template::PasswordChanged,
            Self::EmailChanged(_) => Template::EmailChanged,
        }
    }

    /// Who gets it.
    pub const fn user_id(&self) -> Uuid {
        match self {
            Self::PaymentConfirmed(order) => order.user_id,
            Self::OrderEnded(order) => order.user_id,
            Self::Link(link) => link.user_id,
            Self::PasswordChanged(change) | Self::EmailChanged(change) => change.user_id,
        }
    }

    /// The order, when there is one.
    pub const fn order_id(&self) -> Option<Uuid> {
        match self {
            Self::PaymentConfirmed(order) => Some(order.id),
            Self::OrderEnded(order) => Some(order.id),
            Self::Link(_) | Self::PasswordChanged(_) | Self::EmailChanged(_) => None,
        }
    }

    /// The event, when there is one.
    pub const fn event_id(&self) -> Option<Uuid> {
        match self {
            Self::PaymentConfirmed(order) => Some(order.event_id),
            Self::OrderEnded(order) => Some(order.event_id),
            Self::Link(_) | Self::PasswordChanged(_) | Self::EmailChanged(_) => None,
        }
    }

    /// Whether the message says nothing any more that is of use: its link has died.
    pub fn is_dead(&self, now: Timestamp) -> bool {
        match self {
            Self::PaymentConfirmed(_)
            | Self::OrderEnded(_)
            | Self::PasswordChanged(_)
            | Self::EmailChanged(_) => false,
            Self::Link(link) => link.expires_at <= now,
        }
    }
}

#[cfg(test)]
mod tests {
    use platform::money::{Currency, Money};

    use super::*;

    #[test]
    fn messages_about_an_order_are_found_by_its_id() {
        let (id, event_id, user_id) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let ended = |reason| {
            Cause::OrderEnded(EndedOrder {
                id,
                event_id,
                user_id,
                number: "O-1".into(),
                reason,
                money_back: None,
            })
        };
        let paid = Cause::PaymentConfirmed(PaidOrder {
            id,
            event_id,
            user_id,
            number: "O-1".into(),
            tickets: Vec::new(),
            voucher: None,
            total: Money::zero(Currency::EUR),
        });
        let about = [
            paid,
            ended(EndReason::EventCancelled),
            ended(EndReason::Refunded),
        ];
        let ids: Vec<_> = about.iter().map(Cause::notification_id).collect();
        assert_eq!(ids, Cause::ids_about_order(id));
        assert!(about.iter().all(|cause| cause.order_id() == Some(id)));
    }
}
