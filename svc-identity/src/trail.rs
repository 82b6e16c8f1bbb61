//! The audit trail: who did what to whom, when, from where, in which request.
//!
//! Nothing is done that is not written down. A change is entered before it is made, and how it ended is added to the
//! entry afterwards: whatever crashes or is away in between leaves an entry that says so, never a change without one.
//! That a client who hangs up cannot come between the two is for `http::to_the_end`.

use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::cql::CqlError;
use platform::http::Problem;
use platform::ids::new_id;
use uuid::Uuid;

use crate::domain::audit::{Deed, Entry, Outcome};
use crate::store::audit_entries::AuditEntries;

/// Writes the trail.
pub struct Trail {
    /// What was written.
    pub entries: AuditEntries,
}

/// What cannot be written down is not done.
#[derive(Debug, thiserror::Error)]
#[error("write the audit trail")]
pub struct TrailError(#[from] CqlError);

impl Trail {
    /// Makes a change between its entry and the entry's end.
    pub async fn around<T>(
        &self,
        deed: Deed,
        change: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let entry = self.begin(deed).await?;
        let changed = change.await;
        self.end(&entry, entry.deed.user_id, outcome_of(&changed))
            .await;
        changed
    }

    /// [`Trail::around`] a change that makes the user it is about.
    pub async fn around_new<T>(
        &self,
        deed: Deed,
        change: impl Future<Output = Result<T, Problem>>,
        id: impl FnOnce(&T) -> Uuid,
    ) -> Result<T, Problem> {
        let entry = self.begin(deed).await?;
        let made = change.await;
        let user_id = made.as_ref().ok().map(id);
        self.end(&entry, user_id, outcome_of(&made)).await;
        made
    }

    /// Adds an entry about what is over, or about what nobody can go on with unless this succeeds.
    pub async fn record(&self, deed: Deed) -> Result<(), TrailError> {
        let entry = entry(deed, Some(Outcome::Done));
        Ok(self.entries.insert(&entry).await?)
    }

    /// Adds an entry about what is about to be done.
    pub async fn begin(&self, deed: Deed) -> Result<Entry, TrailError> {
        let entry = entry(deed, None);
        self.entries.insert(&entry).await?;
        Ok(entry)
    }

    /// Says how it ended, and whom it was about. Where that cannot be written, the entry goes on saying that nobody
    /// knows; the log, at level error, does know.
    pub async fn end(&self, entry: &Entry, user_id: Option<Uuid>, outcome: Outcome) {
        // Nobody knows, and so it stands there.
        if outcome == Outcome::Unknown {
            return;
        }
        if let Err(error) = self.entries.end(entry, user_id, outcome).await {
            metrics::counter!("audit_entries_open_total").increment(1);
            let error: &dyn std::error::Error = &error;
            let (entry_id, outcome) = (entry.id, outcome.as_str());
            tracing::error!(
                error,
                %entry_id,
                outcome,
                "an entry of the audit trail does not say how it ended"
            );
        }
    }
}

fn entry(deed: Deed, outcome: Option<Outcome>) -> Entry {
    Entry {
        id: new_id(),
        // As it will be read: pages are cut by it.
        at: Timestamp::now_millis(),
        deed,
        outcome,
        request_id: RequestContext::current().map(|context| context.request_id().to_owned()),
    }
}

/// What the client is told is all that is known: after a failure of ours it may have happened.
fn outcome_of<T>(result: &Result<T, Problem>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(problem) if problem.status().is_client_error() => Outcome::Refused,
        Err(_) => Outcome::Unknown,
    }
}
