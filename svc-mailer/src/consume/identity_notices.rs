//! identity.notices: what people should hear of their accounts becomes a mail.

use platform::kafka::consumer::{Incoming, Outcome};
use schemas::Record as _;
use schemas::identity::{NoticeKind, SecurityNotice};

use super::{Handled, deliver, timestamp};
use crate::app::App;
use crate::domain::account_change::AccountChange;
use crate::domain::cause::Cause;

pub(super) async fn handle(app: &App, record: &Incoming<'_>) -> Handled {
    let Some(datum) = record
        .datum
        .filter(|datum| datum.name() == SecurityNotice::NAME)
    else {
        return Ok(Outcome::Done);
    };
    let notice: SecurityNotice = datum.read()?;
    let change = AccountChange {
        notice_id: notice.notice_id,
        user_id: notice.user_id,
        at: timestamp(notice.at),
    };
    let cause = match notice.kind {
        NoticeKind::PasswordChanged => Cause::PasswordChanged(change),
        NoticeKind::EmailChanged => Cause::EmailChanged(change),
        // A newer version of svc-identity says it, and one of this service will have words for it.
        NoticeKind::Unknown => return Ok(Outcome::Done),
    };
    deliver(app, cause, record.traceparent).await
}
