//! A row of `notifications` and what it means.

use std::str::FromStr;

use platform::cql::CqlError;
use scylla::value::{CqlTimestamp, MaybeUnset};
use scylla::{DeserializeRow, SerializeRow};
use uuid::Uuid;

use super::notification_cause::{read_cause, write_cause};
use super::{from_cql, to_cql};
use crate::domain::notification::{Claim, Content, Notification};

#[derive(DeserializeRow)]
pub(super) struct Row {
    notification_id: Uuid,
    kind: String,
    cause: String,
    traceparent: Option<String>,
    created_at: CqlTimestamp,
    status: String,
    attempts: i32,
    claim_id: Option<Uuid>,
    holder: Option<String>,
    claimed_until: Option<CqlTimestamp>,
    language: Option<String>,
    recipient: Option<String>,
    subject: Option<String>,
    message: Option<String>,
    reason: Option<String>,
    settled_at: Option<CqlTimestamp>,
    announced: bool,
}

impl TryFrom<Row> for Notification {
    type Error = CqlError;

    fn try_from(row: Row) -> Result<Self, CqlError> {
        let claim = match (row.claim_id, row.holder, row.claimed_until) {
            (Some(id), Some(holder), Some(until)) => Some(Claim {
                id,
                holder: named("holder", &holder)?,
                until: from_cql(until),
            }),
            _ => None,
        };
        let content = match (row.language, row.recipient, row.subject, row.message) {
            (Some(language), Some(recipient), Some(subject), Some(text)) => Some(Content {
                language,
                recipient,
                subject,
                text,
            }),
            _ => None,
        };
        Ok(Self {
            id: row.notification_id,
            kind: named("kind", &row.kind)?,
            cause: read_cause(&row.cause)?,
            traceparent: row.traceparent,
            created_at: from_cql(row.created_at),
            status: named("status", &row.status)?,
            attempts: row.attempts,
            claim,
            content,
            reason: row.reason,
            settled_at: row.settled_at.map(from_cql),
            announced: row.announced,
        })
    }
}

fn named<T: FromStr>(column: &str, text: &str) -> Result<T, CqlError> {
    text.parse()
        .map_err(|_| CqlError::Answer(format!("notifications.{column} has no such value: {text}")))
}

/// What makes a row, but for its status. A message that has to wait has no attempt: its columns stay unset.
#[derive(SerializeRow)]
pub(super) struct NewRow<'a> {
    notification_id: Uuid,
    kind: &'a str,
    template: &'a str,
    user_id: Uuid,
    order_id: Option<Uuid>,
    event_id: Option<Uuid>,
    cause: String,
    traceparent: Option<&'a str>,
    created_at: CqlTimestamp,
    attempts: i32,
    claim_id: MaybeUnset<Uuid>,
    holder: MaybeUnset<String>,
    claimed_until: MaybeUnset<CqlTimestamp>,
    language: MaybeUnset<&'a str>,
    recipient: MaybeUnset<&'a str>,
    subject: MaybeUnset<&'a str>,
    message: MaybeUnset<&'a str>,
}

impl<'a> NewRow<'a> {
    pub(super) fn of(new: &'a Notification) -> Result<Self, CqlError> {
        let claim = new.claim.as_ref();
        let content = new.content.as_ref();
        let said = |part: fn(&'a Content) -> &'a String| {
            MaybeUnset::from_option(content.map(part).map(String::as_str))
        };
        Ok(Self {
            notification_id: new.id,
            kind: new.kind.as_str(),
            template: new.cause.template().as_str(),
            user_id: new.cause.user_id(),
            order_id: new.cause.order_id(),
            event_id: new.cause.event_id(),
            cause: write_cause(&new.cause)?,
            traceparent: new.traceparent.as_deref(),
            created_at: to_cql(new.created_at),
            attempts: new.attempts,
            claim_id: MaybeUnset::from_option(claim.map(|claim| claim.id)),
            holder: MaybeUnset::from_option(claim.map(|claim| claim.holder.to_string())),
            claimed_until: MaybeUnset::from_option(claim.map(|claim| to_cql(claim.until))),
            language: said(|content| &content.language),
            recipient: said(|content| &content.recipient),
            subject: said(|content| &content.subject),
            message: said(|content| &content.text),
        })
    }
}
