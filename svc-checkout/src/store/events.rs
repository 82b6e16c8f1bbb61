//! What a ticket says of its event: a projection of catalog.events.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use crate::domain::order::Order;

/// An event as a ticket shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventInfo {
    /// Title.
    pub name: String,
    /// Start.
    pub starts_at: Timestamp,
    /// IANA zone of the place.
    pub time_zone: String,
    /// Name of the house.
    pub venue_name: String,
    /// City.
    pub venue_city: String,
    /// Street address.
    pub venue_address: String,
}

/// Events by id; one whose snapshot has not arrived yet is missing.
pub type Events = HashMap<Uuid, Arc<EventInfo>>;

/// A ticket may show for this long what its event was called before. On an on-sale night thousands of answers a second
/// are of the same event.
const REMEMBERED_FOR: Duration = Duration::from_secs(1);
/// Events that are remembered, at most; each takes up some hundred bytes.
const MAX_REMEMBERED: u64 = 10_000;

#[derive(DeserializeRow)]
struct EventRow {
    name: String,
    starts_at: i64,
    time_zone: String,
    venue_name: String,
    venue_city: String,
    venue_address: String,
}

/// Why there is nothing to remember.
#[derive(Debug, Clone)]
enum Unread {
    /// Its snapshot has not arrived yet. That is not remembered.
    Missing,
    Cql(CqlError),
}

impl From<CqlError> for Unread {
    fn from(error: CqlError) -> Self {
        Unread::Cql(error)
    }
}

/// Reads and writes events.
pub struct EventStore {
    session: Arc<Session>,
    insert: PreparedStatement,
    delete: PreparedStatement,
    select: PreparedStatement,
    remembered: Cache<Uuid, Arc<EventInfo>>,
}

impl EventStore {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Ok(Self {
            // The version is the row's timestamp: an older snapshot that is read again loses.
            insert: cql::prepare(
                &session,
                "INSERT INTO events (event_id, version, name, starts_at, time_zone, venue_name, \
                 venue_city, venue_address) VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
            )
            .await?,
            delete: cql::prepare(&session, "DELETE FROM events WHERE event_id = ?").await?,
            select: cql::prepare(
                &session,
                "SELECT name, starts_at, time_zone, venue_name, venue_city, venue_address \
                 FROM events WHERE event_id = ?",
            )
            .await?,
            remembered: Cache::builder()
                .max_capacity(MAX_REMEMBERED)
                .time_to_live(REMEMBERED_FOR)
                .build(),
            session,
        })
    }

    /// Takes a snapshot; an older one changes nothing.
    pub async fn put(
        &self,
        event_id: Uuid,
        version: i64,
        event: &EventInfo,
    ) -> Result<(), CqlError> {
        let values = (
            event_id,
            version,
            &event.name,
            event.starts_at.as_micros(),
            &event.time_zone,
            &event.venue_name,
            &event.venue_city,
            &event.venue_address,
            version,
        );
        self.session.execute_unpaged(&self.insert, values).await?;
        self.remembered.invalidate(&event_id).await;
        Ok(())
    }

    /// The event is gone.
    pub async fn delete(&self, event_id: Uuid) -> Result<(), CqlError> {
        self.session
            .execute_unpaged(&self.delete, (event_id,))
            .await?;
        self.remembered.invalidate(&event_id).await;
        Ok(())
    }

    /// The event with this id, as it was at most a second ago. Those who ask at once share one read.
    async fn find(&self, event_id: Uuid) -> Result<Option<Arc<EventInfo>>, CqlError> {
        let read = self.remembered.try_get_with(event_id, self.read(event_id));
        match read.await.map_err(Arc::unwrap_or_clone) {
            Ok(event) => Ok(Some(event)),
            Err(Unread::Missing) => Ok(None),
            Err(Unread::Cql(error)) => Err(error),
        }
    }

    async fn read(&self, event_id: Uuid) -> Result<Arc<EventInfo>, Unread> {
        let row = cql::first_row::<EventRow>(&self.session, &self.select, (event_id,)).await?;
        let row = row.ok_or(Unread::Missing)?;
        Ok(Arc::new(EventInfo {
            name: row.name,
            starts_at: Timestamp::from_micros(row.starts_at),
            time_zone: row.time_zone,
            venue_name: row.venue_name,
            venue_city: row.venue_city,
            venue_address: row.venue_address,
        }))
    }

    /// The events of those orders that have tickets.
    pub async fn of_tickets<'a>(
        &self,
        orders: impl IntoIterator<Item = &'a Order>,
    ) -> Result<Events, CqlError> {
        let mut events = Events::new();
        for order in orders.into_iter().filter(|order| !order.tickets.is_empty()) {
            if let Entry::Vacant(entry) = events.entry(order.event_id)
                && let Some(event) = self.find(order.event_id).await?
            {
                entry.insert(event);
            }
        }
        Ok(events)
    }
}
