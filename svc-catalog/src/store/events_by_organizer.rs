//! The table `events_by_organizer`: which events an organizer has or ever had.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

/// Entries that are written at once.
const WRITES_AT_ONCE: usize = 16;

/// Reads and writes the entries. An event that was deleted, or never came to be, keeps its own.
pub struct EventsByOrganizer {
    session: Arc<Session>,
    add: PreparedStatement,
    newest: PreparedStatement,
    older: PreparedStatement,
    entries: PreparedStatement,
    owners: PreparedStatement,
}

impl EventsByOrganizer {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        let ids = "SELECT event_id FROM events_by_organizer WHERE organizer_id = ?";
        let add = "INSERT INTO events_by_organizer (organizer_id, event_id) VALUES (?, ?)";
        let entries = "SELECT organizer_id, event_id FROM events_by_organizer";
        let owners = "SELECT DISTINCT event_id, organizer_id FROM events";
        let prepare = async |text: &str| cql::prepare(&session, text).await;
        Ok(Self {
            add: prepare(add).await?,
            newest: prepare(&format!("{ids} LIMIT ?")).await?,
            older: prepare(&format!("{ids} AND event_id < ? LIMIT ?")).await?,
            entries: prepare(entries).await?,
            owners: prepare(owners).await?,
            session,
        })
    }

    /// Notes that the event is the organizer's. Before the event is written.
    pub async fn add(&self, organizer_id: Uuid, event_id: Uuid) -> Result<(), CqlError> {
        let values = (organizer_id, event_id);
        self.session.execute_unpaged(&self.add, values).await?;
        Ok(())
    }

    /// Events that the organizer has or ever had, newest first, from behind `after` on.
    pub async fn list(
        &self,
        organizer_id: Uuid,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<Vec<Uuid>, CqlError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let session = &self.session;
        let rows = match after {
            None => cql::rows(session, &self.newest, (organizer_id, limit)).await?,
            Some(after) => cql::rows(session, &self.older, (organizer_id, after, limit)).await?,
        };
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// Adds the entries that are missing: those of events that were made before there was the table, or by an instance that
    /// did not know it. How many there were. It goes through both tables, page by page, with 32 bytes of memory an event.
    pub async fn add_missing(&self) -> Result<usize, CqlError> {
        let rows = self.session.execute_iter(self.entries.clone(), ()).await;
        let rows = rows.map_err(CqlError::answer)?;
        let listed = rows
            .rows_stream::<(Uuid, Uuid)>()
            .map_err(CqlError::answer)?;
        let listed: HashSet<(Uuid, Uuid)> = listed.try_collect().await.map_err(CqlError::answer)?;
        let rows = self.session.execute_iter(self.owners.clone(), ()).await;
        let rows = rows.map_err(CqlError::answer)?;
        let mut owners = rows
            .rows_stream::<(Uuid, Option<Uuid>)>()
            .map_err(CqlError::answer)?;
        let mut missing = Vec::new();
        while let Some((event, organizer)) = owners.try_next().await.map_err(CqlError::answer)? {
            // What is left of a deleted one has none.
            let entry = organizer.map(|organizer| (organizer, event));
            missing.extend(entry.filter(|entry| !listed.contains(entry)));
        }
        let count = missing.len();
        let writes = missing
            .into_iter()
            .map(|(organizer, event)| self.add(organizer, event));
        let mut writes = stream::iter(writes).buffer_unordered(WRITES_AT_ONCE);
        while writes.try_next().await?.is_some() {}
        Ok(count)
    }
}
