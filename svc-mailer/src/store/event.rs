//! Events, as catalog.events tells of them.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::{from_cql, to_cql};
use crate::domain::event::Event;

// The version is the write time of the cells: whatever comes late or again, the newest version stays.
const UPSERT: &str = "INSERT INTO events (event_id, version, name, venue_name, venue_city, venue_address, starts_at, \
    time_zone) VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
// Its write time is the time of day, which is above every version.
const DELETE: &str = "DELETE FROM events WHERE event_id = ?";
const FIND: &str = "SELECT event_id, version, name, venue_name, venue_city, venue_address, starts_at, time_zone \
    FROM events WHERE event_id = ?";

type Row = (
    Uuid,
    i64,
    String,
    String,
    String,
    String,
    CqlTimestamp,
    String,
);

/// A mail may say for this long what its event was before. On an on-sale night a hundred mails a second are about the
/// same event.
const REMEMBERED_FOR: Duration = Duration::from_secs(1);
/// Events that are remembered, at most; each takes up some hundred bytes.
const MAX_REMEMBERED: u64 = 10_000;

/// The table `events`.
pub struct Events {
    session: Arc<Session>,
    upsert: PreparedStatement,
    delete: PreparedStatement,
    find: PreparedStatement,
    remembered: Cache<Uuid, Event>,
}

impl Events {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Ok(Self {
            upsert: cql::prepare(&session, UPSERT).await?,
            delete: cql::prepare(&session, DELETE).await?,
            find: cql::prepare(&session, FIND).await?,
            remembered: Cache::builder()
                .max_capacity(MAX_REMEMBERED)
                .time_to_live(REMEMBERED_FOR)
                .build(),
            session,
        })
    }

    /// Keeps the event, unless a newer version is there.
    pub async fn put(&self, event: &Event) -> Result<(), CqlError> {
        let values = (
            event.id,
            event.version,
            &event.name,
            &event.venue_name,
            &event.venue_city,
            &event.venue_address,
            to_cql(event.starts_at),
            &event.time_zone,
            event.version,
        );
        self.session.execute_unpaged(&self.upsert, values).await?;
        self.remembered.invalidate(&event.id).await;
        Ok(())
    }

    /// Forgets the event.
    pub async fn delete(&self, event_id: Uuid) -> Result<(), CqlError> {
        self.session
            .execute_unpaged(&self.delete, (event_id,))
            .await?;
        self.remembered.invalidate(&event_id).await;
        Ok(())
    }

    /// The event as it was at most a second ago; `None` when its record has not come.
    pub async fn find(&self, event_id: Uuid) -> Result<Option<Event>, CqlError> {
        if let Some(event) = self.remembered.get(&event_id).await {
            return Ok(Some(event));
        }
        let event = self.read(event_id).await?;
        if let Some(event) = &event {
            self.remembered.insert(event_id, event.clone()).await;
        }
        Ok(event)
    }

    async fn read(&self, event_id: Uuid) -> Result<Option<Event>, CqlError> {
        let row: Option<Row> = cql::first_row(&self.session, &self.find, (event_id,)).await?;
        Ok(row.map(
            |(id, version, name, venue_name, venue_city, venue_address, starts_at, time_zone)| {
                Event {
                    id,
                    version,
                    name,
                    venue_name,
                    venue_city,
                    venue_address,
                    starts_at: from_cql(starts_at),
                    time_zone,
                }
            },
        ))
    }
}
