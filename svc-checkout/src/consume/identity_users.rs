//! identity.users: who was erased.

use std::sync::Arc;

use platform::kafka::consumer::{Handler, Incoming, Outcome};
use uuid::Uuid;

use crate::attendee_topic::AttendeeTopic;

/// Consumer group. Its own: the engines' group may hold nobody but engines.
pub const GROUP: &str = "svc-checkout-users";

/// Forgets what erased users said of their tickets. Orders and tickets stay, under an id that names nobody.
pub struct IdentityUsers {
    /// What owners of tickets said.
    pub attendees: Arc<AttendeeTopic>,
}

impl Handler for IdentityUsers {
    async fn handle(&self, record: &Incoming<'_>) -> Outcome {
        if record.datum.is_some() {
            return Outcome::Done;
        }
        let Ok(user_id) = Uuid::parse_str(record.key) else {
            return Outcome::Dead("the key is no user id".into());
        };
        match self.attendees.erase_of(user_id).await {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Retry(error.to_string()),
        }
    }
}
