//! checkout.guests: buyers without an account. Mails go to them as to anybody.

use platform::kafka::consumer::{Incoming, Outcome};
use schemas::Record as _;
use schemas::checkout::GuestSnapshot;

use super::{Handled, id_of, stored};
use crate::app::App;
use crate::domain::recipient::Recipient;

pub(super) async fn handle(app: &App, record: &Incoming<'_>) -> Handled {
    let Some(datum) = record.datum else {
        return stored(app.delivery.erase(id_of(record)?).await);
    };
    if datum.name() != GuestSnapshot::NAME {
        return Ok(Outcome::Done);
    }
    let guest: GuestSnapshot = datum.read()?;
    let recipient = Recipient {
        user_id: guest.guest_id,
        version: guest.version,
        name: guest.name,
        email: guest.email,
        locale: guest.locale,
        wished: None,
        former: Vec::new(),
    };
    stored(app.delivery.recipients.put(&recipient).await)
}
