//! identity.users: who gets mails, in which language, and who no longer does.

use platform::kafka::consumer::{Incoming, Outcome};
use schemas::Record as _;
use schemas::identity::UserSnapshot;

use super::{Handled, id_of, stored, timestamp};
use crate::app::App;
use crate::domain::recipient::{FormerAddress, Recipient, WishedAddress};

pub(super) async fn handle(app: &App, record: &Incoming<'_>) -> Handled {
    let Some(datum) = record.datum else {
        return stored(app.delivery.erase(id_of(record)?).await);
    };
    if datum.name() != UserSnapshot::NAME {
        return Ok(Outcome::Done);
    }
    let user: UserSnapshot = datum.read()?;
    let former = user.former_emails.into_iter().flatten();
    let recipient = Recipient {
        user_id: user.user_id,
        version: user.version,
        name: user.name,
        email: user.email,
        locale: user.locale,
        wished: user.wished_email.map(|wished| WishedAddress {
            wish_id: wished.wish_id,
            email: wished.email,
        }),
        former: former
            .map(|former| FormerAddress {
                email: former.email,
                until: timestamp(former.until),
            })
            .collect(),
    };
    stored(app.delivery.recipients.put(&recipient).await)
}
