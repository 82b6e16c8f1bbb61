//! The audit trail: who did what to whom, when, from where, in which request.
//!
//! Nothing is done that is not written down. A change is entered before it is made, and how it ended is added to the
//! entry afterwards: whatever crashes or is away in between leaves an entry that says so, never a change without one.
//! That a client who hangs up cannot come between the two is for `http::to_the_end`.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::cql::CqlError;
use platform::http::Problem;
use platform::ids::new_id;
use scylla::client::session::Session;
use uuid::Uuid;

use crate::domain::audit::{Deed, Entry, Outcome};
use crate::store::audit_by_user::AuditByUser;
use crate::store::audit_entries::AuditEntries;

/// Entries of one user that are read at once.
const READS_AT_ONCE: usize = 16;

/// Writes the trail.
pub struct Trail {
    /// What was written.
    pub entries: AuditEntries,
    /// Of whom.
    by_user: AuditByUser,
}

/// What cannot be written down is not done.
#[derive(Debug, thiserror::Error)]
#[error("write the audit trail")]
pub struct TrailError(#[from] CqlError);

impl Trail {
    /// Prepares the statements. What is written ends after `kept_for`.
    pub async fn new(session: Arc<Session>, kept_for: Duration) -> Result<Self, CqlError> {
        Ok(Self {
            entries: AuditEntries::new(Arc::clone(&session), kept_for).await?,
            by_user: AuditByUser::new(session, kept_for).await?,
        })
    }

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
        Ok(self.write(&entry).await?)
    }

    /// [`Trail::record`] of what a stranger tried with an address that has a user, or none: it writes as much for nobody, under
    /// an id that nobody has, so that the time tells nobody which.
    pub async fn record_of_stranger(&self, deed: Deed) -> Result<(), TrailError> {
        let entry = entry(deed, Some(Outcome::Done));
        let user = entry.deed.user_id.unwrap_or(entry.id);
        futures::try_join!(
            self.entries.insert(&entry),
            self.by_user.insert(entry.place(), [user]),
        )?;
        Ok(())
    }

    /// Adds an entry about what is about to be done.
    pub async fn begin(&self, deed: Deed) -> Result<Entry, TrailError> {
        let entry = entry(deed, None);
        self.write(&entry).await?;
        Ok(entry)
    }

    async fn write(&self, entry: &Entry) -> Result<(), CqlError> {
        let (actor, user) = (entry.deed.actor_id, entry.deed.user_id);
        let users = actor.into_iter().chain(user.filter(|_| user != actor));
        futures::try_join!(
            self.entries.insert(entry),
            self.by_user.insert(entry.place(), users),
        )?;
        Ok(())
    }

    /// Says how it ended, and whom it was about. Where that cannot be written, the entry goes on saying that nobody
    /// knows; the log, at level error, does know.
    pub async fn end(&self, entry: &Entry, user_id: Option<Uuid>, outcome: Outcome) {
        // Nobody knows, and so it stands there.
        if outcome == Outcome::Unknown {
            return;
        }
        let newly_known = user_id.filter(|_| entry.deed.user_id.is_none());
        let ended = futures::try_join!(
            self.entries.end(entry, user_id, outcome),
            self.by_user.insert(entry.place(), newly_known),
        );
        if let Err(error) = ended {
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

impl Trail {
    /// Up to `limit` entries of what a user did or what was done to him, newest first.
    pub async fn of_user(
        &self,
        user_id: Uuid,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Entry<String>>, CqlError> {
        let places = self.by_user.of_user(user_id, limit, now).await?;
        let found: Vec<Option<Entry<String>>> = stream::iter(places)
            .map(|place| self.entries.find(place))
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
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
