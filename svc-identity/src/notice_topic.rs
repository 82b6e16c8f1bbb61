//! The topic `identity.notices`: what people should hear of their accounts.
//!
//! A notice follows from the row of the user and is published whenever the user is, so that no crash loses one. It has the
//! same id each time, and the mailer sends one mail for each.

use std::time::Duration;

use platform::avro::Encoder;
use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::ids::derived_id;
use platform::kafka::headers::RecordHeaders;
use platform::kafka::producer::{ProduceError, Producer};
use schemas::Record as _;
use schemas::identity::{NoticeKind, SecurityNotice};
use schemas::topics::{IDENTITY_NOTICES, NOTICES_KEPT_FOR_MS, Partitions};
use uuid::Uuid;

use crate::domain::account::Account;
use crate::user_topic::SOURCE;

/// An older change was told, or the topic has forgotten it by now.
const TOLD_FOR: Duration = Duration::from_millis(NOTICES_KEPT_FOR_MS.unsigned_abs());

/// Publishes notices.
pub struct NoticeTopic {
    /// Where to.
    pub producer: Producer,
    /// In which form.
    pub encoder: Encoder<SecurityNotice>,
}

impl NoticeTopic {
    /// Publishes what the owner of the account should hear of, if anything.
    pub async fn publish(&self, account: &Account) -> Result<(), ProduceError> {
        let password = account.password_changed_at;
        let password = password.map(|at| (NoticeKind::PasswordChanged, "password-changed", at));
        let former = account.former_emails.iter();
        let emails = former.map(|former| (NoticeKind::EmailChanged, "email-changed", former.until));
        for (kind, name, at) in password.into_iter().chain(emails) {
            if Timestamp::now().since(at) < TOLD_FOR {
                self.tell(account.user.id, kind, name, at).await?;
            }
        }
        Ok(())
    }

    async fn tell(
        &self,
        user_id: Uuid,
        kind: NoticeKind,
        name: &str,
        at: Timestamp,
    ) -> Result<(), ProduceError> {
        let Partitions::ByKey(partitions) = IDENTITY_NOTICES.partitions else {
            unreachable!("notices are not partitioned by event");
        };
        let change = at.as_micros().to_string();
        let notice = SecurityNotice {
            notice_id: derived_id(user_id, &[name, &change]),
            user_id,
            kind,
            at: at.as_micros(),
        };
        let context = RequestContext::current();
        let headers = RecordHeaders {
            id: notice.notice_id,
            record_name: SecurityNotice::NAME,
            source: SOURCE,
            subject: &user_id.to_string(),
            time: at,
            traceparent: context.as_ref().map(RequestContext::traceparent),
        };
        let payload = self.encoder.encode(&notice);
        self.producer
            .send(
                IDENTITY_NOTICES.name,
                partitions,
                user_id,
                headers.to_owned_headers(),
                Some(&payload),
            )
            .await
    }
}
