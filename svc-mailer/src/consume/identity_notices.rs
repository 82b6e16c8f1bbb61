//! identity.notices: what people should hear of their accounts becomes a mail.

use platform::kafka::consumer::{Incoming, Outcome};
use schemas::Record as _;
use schemas::identity::{NoticeKind, SecurityNotice};

use super::{Handled, deliver, timestamp};
use crate::app::App;
use crate::domain::notification::Cause;
use crate::domain::password_change::PasswordChange;

pub(super) async fn handle(app: &App, record: &Incoming<'_>) -> Handled {
    let Some(datum) = record
        .datum
        .filter(|datum| datum.name() == SecurityNotice::NAME)
    else {
        return Ok(Outcome::Done);
    };
    let notice: SecurityNotice = datum.read()?;
    match notice.kind {
        NoticeKind::PasswordChanged => {
            let change = PasswordChange {
                notice_id: notice.notice_id,
                user_id: notice.user_id,
                at: timestamp(notice.at),
            };
            deliver(app, Cause::PasswordChanged(change), record.traceparent).await
        }
        // A newer version of svc-identity says it, and one of this service will have words for it.
        NoticeKind::Unknown => Ok(Outcome::Done),
    }
}
