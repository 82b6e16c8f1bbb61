//! Support cases on the wire.

use platform::clock::Timestamp;
use platform::http::{ETag, Json, Problem};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Fields;
use crate::domain::case::{Author, Case, Head, Message, Status, Subject, Text};

/// Who wants help.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseIn {
    /// One line.
    #[schema(min_length = 1, max_length = 200, example = "Where are my tickets?")]
    pub(super) subject: String,
    #[schema(min_length = 1, max_length = 4000, example = "I paid and got no mail.")]
    pub(super) message: String,
    /// An order of one's own.
    pub(super) order_id: Option<Uuid>,
}

/// What somebody adds to a case.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageIn {
    #[schema(min_length = 1, max_length = 4000, example = "Here they are.")]
    message: String,
}

/// Whose turn it is from now on.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseChangeIn {
    /// `open`, `pending` (for support alone) or `closed`.
    #[schema(example = "closed")]
    status: String,
}

/// A case, as lists show it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CaseSummary)]
pub struct HeadOut {
    id: Uuid,
    /// Whose case it is.
    user_id: Uuid,
    subject: String,
    /// `open`: it is support's turn; `pending`: the customer's; `closed`.
    #[schema(example = "open")]
    status: &'static str,
    #[schema(required = true)]
    order_id: Option<Uuid>,
    opened_at: Timestamp,
    changed_at: Timestamp,
}

/// A case.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Case)]
pub struct CaseOut {
    #[serde(flatten)]
    head: HeadOut,
    /// Oldest first, 100 at most.
    messages: Vec<MessageOut>,
}

/// What somebody wrote.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CaseMessage)]
pub struct MessageOut {
    /// `customer` or `support`.
    #[schema(example = "customer")]
    author: &'static str,
    at: Timestamp,
    text: String,
}

impl From<Head> for HeadOut {
    fn from(head: Head) -> Self {
        Self {
            id: head.id,
            user_id: head.user_id,
            subject: head.subject.as_str().to_owned(),
            status: head.status.as_str(),
            order_id: head.order_id,
            opened_at: head.opened_at,
            changed_at: head.changed_at,
        }
    }
}

impl From<Case> for CaseOut {
    fn from(case: Case) -> Self {
        let messages = case.messages.into_iter().map(|message| MessageOut {
            author: message.author.as_str(),
            at: message.at,
            text: message.text.as_str().to_owned(),
        });
        Self {
            messages: messages.collect(),
            head: case.head.into(),
        }
    }
}

/// A case with the version as ETag.
pub(super) fn answer(case: Case) -> (ETag, Json<CaseOut>) {
    (ETag(case.head.version), Json(case.into()))
}

impl CaseIn {
    /// The case that it makes.
    pub(super) fn check(self, id: Uuid, user_id: Uuid, now: Timestamp) -> Result<Case, Problem> {
        let mut fields = Fields::new();
        let subject = fields.take("/subject", Subject::parse(&self.subject));
        let text = fields.take("/message", Text::parse(&self.message));
        let (subject, text) = fields.complete(subject.zip(text))?;
        let first = Message {
            author: Author::Customer,
            at: now,
            text,
        };
        let head = Head {
            id,
            user_id,
            version: 1,
            subject,
            status: Status::Open,
            order_id: self.order_id,
            opened_at: now,
            changed_at: now,
        };
        Ok(Case {
            head,
            messages: vec![first],
        })
    }
}

impl MessageIn {
    pub(super) fn check(self) -> Result<Text, Problem> {
        let mut fields = Fields::new();
        let text = fields.take("/message", Text::parse(&self.message));
        fields.complete(text)
    }
}

impl CaseChangeIn {
    pub(super) fn check(self) -> Result<Status, Problem> {
        let mut fields = Fields::new();
        let status = fields.take("/status", Status::parse(&self.status));
        fields.complete(status)
    }
}
