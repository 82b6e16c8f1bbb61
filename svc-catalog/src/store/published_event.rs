//! The tables `published_events` and `published_months`: a projection of the published ones among `events`.

use std::sync::Arc;

use futures::future::try_join;
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;

use super::event::StoredEvent;
use super::published_row::{PublishedRow, ticket_types_text};
use super::to_cql;
use crate::domain::event::{Event, Status};
use crate::domain::listing::{Filter, Place};

/// The only list there is; the column keeps all months in one partition.
const LIST: i32 = 0;
/// Events that are read at a time when a filter leaves some out.
const FILTERED_CHUNK: usize = 200;
/// Most events that are looked at for one page. A filter that hardly any event passes ends its page here, maybe with
/// nothing on it, and the cursor goes on.
const MAX_LOOKED_AT: usize = 5_000;

const PUT: &str = "INSERT INTO published_events (month, starts_at, event_id, version, organizer_id, name, type, \
     description, venue_name, venue_city, venue_address, ends_at, time_zone, capacity, image_url, ticket_types) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

const REMOVE: &str =
    "DELETE FROM published_events WHERE month = ? AND starts_at = ? AND event_id = ?";

const BETWEEN: &str = "SELECT starts_at, event_id, version, organizer_id, name, type, description, venue_name, \
     venue_city, venue_address, ends_at, time_zone, capacity, image_url, ticket_types FROM published_events \
     WHERE month = ? AND (starts_at, event_id) > (?, ?) AND (starts_at, event_id) < (?, ?) LIMIT ?";

/// Events of the list, and where the next page begins.
#[derive(Debug)]
pub struct Listed {
    /// Soonest first.
    pub events: Vec<Event>,
    /// The place to go on behind; none at the end of the list.
    pub next: Option<Place>,
}

/// Which part of the list is wanted.
#[derive(Debug, Clone)]
pub struct Part {
    /// Only events behind this place.
    pub after: Place,
    /// Only events that start before this.
    pub until: Timestamp,
    /// Only these.
    pub filter: Filter,
    /// Most events.
    pub limit: usize,
}

/// Reads and writes the list of published events.
pub struct PublishedEvents {
    session: Arc<Session>,
    put: PreparedStatement,
    put_month: PreparedStatement,
    remove: PreparedStatement,
    months: PreparedStatement,
    between: PreparedStatement,
}

impl PublishedEvents {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        let put_month = "INSERT INTO published_months (list, month) VALUES (?, ?)";
        let months =
            "SELECT month FROM published_months WHERE list = ? AND month >= ? AND month <= ?";
        Ok(Self {
            put: cql::prepare(&session, PUT).await?,
            put_month: cql::prepare(&session, put_month).await?,
            remove: cql::prepare(&session, REMOVE).await?,
            months: cql::prepare(&session, months).await?,
            between: cql::prepare(&session, BETWEEN).await?,
            session,
        })
    }

    /// Brings the list to what the row says. Doing it again, or late with an older version, changes nothing.
    pub async fn project(&self, stored: &StoredEvent) -> Result<(), CqlError> {
        let event = &stored.event;
        let now = event.details.starts_at;
        // Where it was before it was moved.
        for past in stored.past_starts.iter().filter(|past| **past != now) {
            self.remove(event, *past).await?;
        }
        match event.status {
            // It was never in the list.
            Status::Draft => Ok(()),
            Status::Published => self.put(event).await,
            Status::Cancelled | Status::Archived => self.remove(event, now).await,
        }
    }

    async fn put(&self, event: &Event) -> Result<(), CqlError> {
        let month = Place::of(event).month();
        let details = &event.details;
        let ticket_types = ticket_types_text(&event.ticket_types)?;
        let values = (
            month,
            to_cql(details.starts_at),
            event.id,
            event.version,
            event.organizer_id,
            &details.name,
            &details.kind,
            &details.description,
            &details.venue.name,
            &details.venue.city,
            &details.venue.address,
            to_cql(details.ends_at),
            &details.time_zone,
            details.capacity,
            &details.image_url,
            &ticket_types,
        );
        let put = written_at(&self.put, event.version);
        try_join(
            self.session.execute_unpaged(&put, values),
            self.session.execute_unpaged(&self.put_month, (LIST, month)),
        )
        .await?;
        Ok(())
    }

    async fn remove(&self, event: &Event, starts_at: Timestamp) -> Result<(), CqlError> {
        let place = Place {
            starts_at,
            event_id: event.id,
        };
        let values = (place.month(), to_cql(place.starts_at), place.event_id);
        let remove = written_at(&self.remove, event.version);
        self.session.execute_unpaged(&remove, values).await?;
        Ok(())
    }

    /// The part of the list, at most `limit` events of it.
    pub async fn list(&self, part: &Part) -> Result<Listed, CqlError> {
        let chunk = match part.filter.is_open() {
            true => part.limit + 1,
            false => FILTERED_CHUNK,
        };
        let mut events: Vec<Event> = Vec::new();
        let (mut after, mut looked_at) = (part.after, 0);
        for month in self.months(part).await? {
            loop {
                let found = self.chunk(month, after, part.until, chunk).await?;
                let is_last = found.len() < chunk;
                looked_at += found.len();
                for event in found {
                    after = Place::of(&event);
                    if !part.filter.matches(&event) {
                        continue;
                    }
                    if events.len() == part.limit {
                        // One more than wanted. The next page begins behind the last one that is kept, not behind
                        // what a filter left out since: an event published there meanwhile belongs on it.
                        let next = events.last().map(Place::of);
                        return Ok(Listed { events, next });
                    }
                    events.push(event);
                }
                if looked_at >= MAX_LOOKED_AT {
                    let next = Some(after);
                    return Ok(Listed { events, next });
                }
                if is_last {
                    break;
                }
            }
        }
        Ok(Listed { events, next: None })
    }

    /// The months that the part reaches into and that have events, in order.
    async fn months(&self, part: &Part) -> Result<Vec<i32>, CqlError> {
        let bounds = (LIST, part.after.month(), Place::before(part.until).month());
        let answer = self.session.execute_unpaged(&self.months, bounds).await?;
        let rows = answer.into_rows_result().map_err(CqlError::answer)?;
        rows.rows::<(i32,)>()
            .map_err(CqlError::answer)?
            .map(|row| row.map(|(month,)| month).map_err(CqlError::answer))
            .collect()
    }

    async fn chunk(
        &self,
        month: i32,
        after: Place,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Event>, CqlError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let before = Place::before(until);
        let bounds = (
            month,
            to_cql(after.starts_at),
            after.event_id,
            to_cql(before.starts_at),
            before.event_id,
            limit,
        );
        let answer = self.session.execute_unpaged(&self.between, bounds).await?;
        let rows = answer.into_rows_result().map_err(CqlError::answer)?;
        rows.rows::<PublishedRow>()
            .map_err(CqlError::answer)?
            .map(|row| row.map_err(CqlError::answer)?.into_event())
            .collect()
    }
}

/// The statement with the version as its time of writing: of two writers the newer version stays, in whatever order
/// they come.
fn written_at(statement: &PreparedStatement, version: i64) -> PreparedStatement {
    let mut statement = statement.clone();
    statement.set_timestamp(Some(version));
    statement
}
