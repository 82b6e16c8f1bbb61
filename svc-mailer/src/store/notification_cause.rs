//! The column `cause` of `notifications`: what a message is about, in a form that outlives versions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::clock::Timestamp;
use platform::cql::CqlError;
use platform::money::Money;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::account_change::AccountChange;
use crate::domain::account_link::{AccountLink, LinkKind};
use crate::domain::cause::Cause;
use crate::domain::ended_order::{EndReason, EndedOrder};
use crate::domain::order::{PaidOrder, Ticket, UsedVoucher};

/// The form of the column `cause`. Rows outlive versions: new fields need a default.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CauseColumn {
    PaymentConfirmed(PaidOrderColumn),
    EventCancelled(EndedOrderColumn),
    OrderRefunded(EndedOrderColumn),
    EmailVerification(AccountLinkColumn),
    PasswordReset(AccountLinkColumn),
    PasswordChanged(AccountChangeColumn),
    EmailChange {
        link: AccountLinkColumn,
        wish_id: Uuid,
    },
    EmailChanged(AccountChangeColumn),
}

#[derive(Serialize, Deserialize)]
struct AccountChangeColumn {
    notice_id: Uuid,
    user_id: Uuid,
    at_micros: i64,
}

#[derive(Serialize, Deserialize)]
struct AccountLinkColumn {
    user_id: Uuid,
    token_id: Uuid,
    /// Base64. A copy of the table opens no link.
    sealed_token: String,
    expires_at_micros: i64,
    /// Of a link to a new password. Rows of before have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_version: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct PaidOrderColumn {
    id: Uuid,
    event_id: Uuid,
    user_id: Uuid,
    number: String,
    tickets: Vec<TicketColumn>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    voucher: Option<VoucherColumn>,
    total: Money,
}

#[derive(Serialize, Deserialize)]
struct VoucherColumn {
    code: String,
    discount: Money,
}

#[derive(Serialize, Deserialize)]
struct EndedOrderColumn {
    id: Uuid,
    event_id: Uuid,
    user_id: Uuid,
    number: String,
    money_back: Option<Money>,
}

#[derive(Serialize, Deserialize)]
struct TicketColumn {
    number: i64,
    kind: String,
    price: Money,
}

pub(super) fn write_cause(cause: &Cause) -> Result<String, CqlError> {
    let column = match cause {
        Cause::PaymentConfirmed(order) => CauseColumn::PaymentConfirmed(order.into()),
        Cause::OrderEnded(order) => match order.reason {
            EndReason::EventCancelled => CauseColumn::EventCancelled(order.into()),
            EndReason::Refunded => CauseColumn::OrderRefunded(order.into()),
        },
        Cause::Link(link) => match link.kind {
            LinkKind::VerifyEmail => CauseColumn::EmailVerification(link.into()),
            LinkKind::ResetPassword { .. } => CauseColumn::PasswordReset(link.into()),
            LinkKind::ChangeEmail { wish_id } => CauseColumn::EmailChange {
                link: link.into(),
                wish_id,
            },
        },
        Cause::PasswordChanged(change) => CauseColumn::PasswordChanged(change.into()),
        Cause::EmailChanged(change) => CauseColumn::EmailChanged(change.into()),
    };
    serde_json::to_string(&column).map_err(CqlError::answer)
}

pub(super) fn read_cause(text: &str) -> Result<Cause, CqlError> {
    Ok(
        match serde_json::from_str(text).map_err(CqlError::answer)? {
            CauseColumn::PaymentConfirmed(order) => Cause::PaymentConfirmed(order.into()),
            CauseColumn::EventCancelled(order) => {
                Cause::OrderEnded(order.read(EndReason::EventCancelled))
            }
            CauseColumn::OrderRefunded(order) => Cause::OrderEnded(order.read(EndReason::Refunded)),
            CauseColumn::EmailVerification(link) => Cause::Link(link.read(LinkKind::VerifyEmail)?),
            CauseColumn::PasswordReset(link) => {
                let user_version = link.user_version.unwrap_or_default();
                Cause::Link(link.read(LinkKind::ResetPassword { user_version })?)
            }
            CauseColumn::EmailChange { link, wish_id } => {
                Cause::Link(link.read(LinkKind::ChangeEmail { wish_id })?)
            }
            CauseColumn::PasswordChanged(change) => Cause::PasswordChanged(change.into()),
            CauseColumn::EmailChanged(change) => Cause::EmailChanged(change.into()),
        },
    )
}

impl From<&PaidOrder> for PaidOrderColumn {
    fn from(order: &PaidOrder) -> Self {
        let tickets = order.tickets.iter().map(|ticket| TicketColumn {
            number: ticket.number,
            kind: ticket.kind.clone(),
            price: ticket.price,
        });
        Self {
            id: order.id,
            event_id: order.event_id,
            user_id: order.user_id,
            number: order.number.clone(),
            tickets: tickets.collect(),
            voucher: order.voucher.as_ref().map(|used| VoucherColumn {
                code: used.code.clone(),
                discount: used.discount,
            }),
            total: order.total,
        }
    }
}

impl From<PaidOrderColumn> for PaidOrder {
    fn from(order: PaidOrderColumn) -> Self {
        let tickets = order.tickets.into_iter().map(|ticket| Ticket {
            number: ticket.number,
            kind: ticket.kind,
            price: ticket.price,
        });
        Self {
            id: order.id,
            event_id: order.event_id,
            user_id: order.user_id,
            number: order.number,
            tickets: tickets.collect(),
            voucher: order.voucher.map(|used| UsedVoucher {
                code: used.code,
                discount: used.discount,
            }),
            total: order.total,
        }
    }
}

impl From<&AccountChange> for AccountChangeColumn {
    fn from(change: &AccountChange) -> Self {
        Self {
            notice_id: change.notice_id,
            user_id: change.user_id,
            at_micros: change.at.as_micros(),
        }
    }
}

impl From<&EndedOrder> for EndedOrderColumn {
    fn from(order: &EndedOrder) -> Self {
        Self {
            id: order.id,
            event_id: order.event_id,
            user_id: order.user_id,
            number: order.number.clone(),
            money_back: order.money_back,
        }
    }
}

impl From<AccountChangeColumn> for AccountChange {
    fn from(change: AccountChangeColumn) -> Self {
        Self {
            notice_id: change.notice_id,
            user_id: change.user_id,
            at: Timestamp::from_micros(change.at_micros),
        }
    }
}

impl EndedOrderColumn {
    fn read(self, reason: EndReason) -> EndedOrder {
        EndedOrder {
            id: self.id,
            event_id: self.event_id,
            user_id: self.user_id,
            number: self.number,
            reason,
            money_back: self.money_back,
        }
    }
}

impl From<&AccountLink> for AccountLinkColumn {
    fn from(link: &AccountLink) -> Self {
        Self {
            user_id: link.user_id,
            token_id: link.token_id,
            sealed_token: STANDARD.encode(&link.sealed_token),
            expires_at_micros: link.expires_at.as_micros(),
            user_version: match link.kind {
                LinkKind::ResetPassword { user_version } => Some(user_version),
                LinkKind::VerifyEmail | LinkKind::ChangeEmail { .. } => None,
            },
        }
    }
}

impl AccountLinkColumn {
    fn read(self, kind: LinkKind) -> Result<AccountLink, CqlError> {
        Ok(AccountLink {
            kind,
            user_id: self.user_id,
            token_id: self.token_id,
            sealed_token: STANDARD
                .decode(self.sealed_token)
                .map_err(CqlError::answer)?,
            expires_at: Timestamp::from_micros(self.expires_at_micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::money::Currency;

    #[test]
    fn a_cause_survives_its_column() {
        let price = Money::new(2_500, Currency::EUR);
        let order = PaidOrder {
            id: Uuid::from_u128(1),
            event_id: Uuid::from_u128(2),
            user_id: Uuid::from_u128(3),
            number: "O-ABCDEFGHJK".into(),
            tickets: vec![Ticket {
                number: 7,
                kind: "vip".into(),
                price,
            }],
            voucher: None,
            total: price,
        };
        let cause = Cause::PaymentConfirmed(order.clone());
        let text = write_cause(&cause).unwrap();
        // Written down: rows in this form exist.
        insta::assert_snapshot!(text, @r#"{"payment_confirmed":{"id":"00000000-0000-0000-0000-000000000001","event_id":"00000000-0000-0000-0000-000000000002","user_id":"00000000-0000-0000-0000-000000000003","number":"O-ABCDEFGHJK","tickets":[{"number":7,"kind":"vip","price":{"amount":2500,"currency":"EUR"}}],"total":{"amount":2500,"currency":"EUR"}}}"#);
        assert_eq!(read_cause(&text).unwrap(), cause);
        let with_voucher = Cause::PaymentConfirmed(PaidOrder {
            voucher: Some(UsedVoucher {
                code: "EARLY-10".into(),
                discount: price,
            }),
            ..order
        });
        let text = write_cause(&with_voucher).unwrap();
        assert_eq!(read_cause(&text).unwrap(), with_voucher);
    }

    #[test]
    fn an_end_survives_its_column() {
        let price = Money::new(2_500, Currency::EUR);
        let mut texts = Vec::new();
        for (reason, money_back) in [
            (EndReason::EventCancelled, None),
            (EndReason::Refunded, Some(price)),
        ] {
            let cause = Cause::OrderEnded(EndedOrder {
                id: Uuid::from_u128(1),
                event_id: Uuid::from_u128(2),
                user_id: Uuid::from_u128(3),
                number: "O-ABCDEFGHJK".into(),
                reason,
                money_back,
            });
            let text = write_cause(&cause).unwrap();
            assert_eq!(read_cause(&text).unwrap(), cause);
            texts.push(text);
        }
        // Written down: rows in this form exist.
        insta::assert_snapshot!(texts.join("\n"), @r#"
        {"event_cancelled":{"id":"00000000-0000-0000-0000-000000000001","event_id":"00000000-0000-0000-0000-000000000002","user_id":"00000000-0000-0000-0000-000000000003","number":"O-ABCDEFGHJK","money_back":null}}
        {"order_refunded":{"id":"00000000-0000-0000-0000-000000000001","event_id":"00000000-0000-0000-0000-000000000002","user_id":"00000000-0000-0000-0000-000000000003","number":"O-ABCDEFGHJK","money_back":{"amount":2500,"currency":"EUR"}}}
        "#);
    }

    fn link(kind: LinkKind) -> Cause {
        Cause::Link(AccountLink {
            kind,
            user_id: Uuid::from_u128(3),
            token_id: Uuid::from_u128(4),
            sealed_token: vec![1, 2, 3],
            expires_at: Timestamp::from_seconds(5),
        })
    }

    #[test]
    fn a_link_survives_its_column() {
        let wish_id = Uuid::from_u128(5);
        for kind in [
            LinkKind::VerifyEmail,
            LinkKind::ResetPassword { user_version: 0 },
            LinkKind::ResetPassword { user_version: 7 },
            LinkKind::ChangeEmail { wish_id },
        ] {
            let cause = link(kind);
            assert_eq!(read_cause(&write_cause(&cause).unwrap()).unwrap(), cause);
        }
        // As rows of before have it.
        let old = r#"{"password_reset":{"user_id":"00000000-0000-0000-0000-000000000003","token_id":"00000000-0000-0000-0000-000000000004","sealed_token":"AQID","expires_at_micros":5000000}}"#;
        let any = link(LinkKind::ResetPassword { user_version: 0 });
        assert_eq!(read_cause(old).unwrap(), any);
    }

    #[test]
    fn a_change_of_a_password_survives_its_column() {
        let cause = Cause::PasswordChanged(AccountChange {
            notice_id: Uuid::from_u128(1),
            user_id: Uuid::from_u128(3),
            at: Timestamp::from_seconds(5),
        });
        let text = write_cause(&cause).unwrap();
        // Written down: rows in this form exist.
        insta::assert_snapshot!(text, @r#"{"password_changed":{"notice_id":"00000000-0000-0000-0000-000000000001","user_id":"00000000-0000-0000-0000-000000000003","at_micros":5000000}}"#);
        assert_eq!(read_cause(&text).unwrap(), cause);
    }

    #[test]
    fn a_change_of_an_address_survives_its_column() {
        let cause = Cause::EmailChanged(AccountChange {
            notice_id: Uuid::from_u128(1),
            user_id: Uuid::from_u128(3),
            at: Timestamp::from_seconds(5),
        });
        let text = write_cause(&cause).unwrap();
        // Written down: rows in this form exist.
        insta::assert_snapshot!(text, @r#"{"email_changed":{"notice_id":"00000000-0000-0000-0000-000000000001","user_id":"00000000-0000-0000-0000-000000000003","at_micros":5000000}}"#);
        assert_eq!(read_cause(&text).unwrap(), cause);
    }
}
