//! The audit trail: who did what to whom, when, from where, in which request.

use std::net::IpAddr;

use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::ids::new_id;
use uuid::Uuid;

use crate::domain::audit::{Action, Entry};
use crate::store::audit_entries::AuditEntries;

/// Writes the trail.
pub struct Trail {
    /// What was written.
    pub entries: AuditEntries,
}

impl Trail {
    /// Adds an entry about what has just been done by `actor_id` to `user_id`.
    ///
    /// It is done whether or not the entry can be written: what cannot is in the log, at level error, with the same
    /// ids.
    pub async fn record(
        &self,
        action: Action,
        actor_id: Option<Uuid>,
        user_id: Option<Uuid>,
        client: Option<IpAddr>,
    ) {
        let context = RequestContext::current();
        let entry = Entry {
            id: new_id(),
            // As it will be read: pages are cut by it.
            at: Timestamp::from_millis(Timestamp::now().as_millis()),
            action: action.as_str().to_owned(),
            actor_id,
            user_id,
            client,
            request_id: context.map(|context| context.request_id().to_owned()),
        };
        if let Err(error) = self.entries.insert(&entry).await {
            metrics::counter!("audit_entries_lost_total").increment(1);
            let error: &dyn std::error::Error = &error;
            let action = action.as_str();
            tracing::error!(
                error,
                action,
                ?actor_id,
                ?user_id,
                "an entry of the audit trail is lost"
            );
        }
    }
}
