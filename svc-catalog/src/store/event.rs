//! The table `events`: owned rows, written by lightweight transactions only.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt as _;
use platform::cql::{self, CqlError};
use scylla::SerializeRow;
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::event_row::{EventRow, status_text};
use super::to_cql;
use crate::domain::event::Event;
use crate::domain::ticket_type::TicketType;

const COLUMNS: &str = "event_id, version, operation_id, status, organizer_id, name, type, description, \
     venue_name, venue_city, venue_address, starts_at, ends_at, time_zone, capacity, image_url, \
     attendance_releases_seat, ticket_type_id, ticket_name, ticket_kind, price_amount, price_currency, quantity, \
     max_per_buyer, sale_starts_at, sale_ends_at, ticket_version";

const INSERT: &str = "INSERT INTO events (event_id, version, operation_id, status, organizer_id, name, type, \
     description, venue_name, venue_city, venue_address, starts_at, ends_at, time_zone, capacity, image_url, \
     attendance_releases_seat) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";

const UPDATE: &str =
    "UPDATE events SET version = ?, operation_id = ?, status = ? WHERE event_id = ? IF version = ?";

const UPDATE_DETAILS: &str = "UPDATE events SET name = ?, type = ?, description = ?, venue_name = ?, venue_city = ?, \
     venue_address = ?, starts_at = ?, ends_at = ?, time_zone = ?, capacity = ?, image_url = ?, \
     attendance_releases_seat = ? WHERE event_id = ?";

/// All static columns. A deletion of the whole partition could have no condition.
const DELETE: &str = "DELETE version, operation_id, status, organizer_id, name, type, description, venue_name, \
     venue_city, venue_address, starts_at, ends_at, time_zone, capacity, image_url, attendance_releases_seat FROM events \
     WHERE event_id = ? IF version = ?";

const DELETE_TICKET_TYPE: &str = "DELETE FROM events WHERE event_id = ? AND ticket_type_id = ?";

const PUT_TICKET_TYPE: &str = "INSERT INTO events (event_id, ticket_type_id, ticket_name, ticket_kind, price_amount, \
     price_currency, quantity, max_per_buyer, sale_starts_at, sale_ends_at, ticket_version) \
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// All events, in no order. A row for each ticket type, and one for an event without any.
const VERSIONS: &str = "SELECT event_id, version, ticket_type_id FROM events";

/// An event as it is stored.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// The event.
    pub event: Event,
    /// The change that made this version.
    pub operation_id: Uuid,
}

/// What the topics have to say of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventVersion {
    /// Its version.
    pub version: i64,
    /// Whether it has a ticket type.
    pub sells: bool,
}

/// Reads and changes events.
pub struct Events {
    session: Arc<Session>,
    versions: PreparedStatement,
    find: PreparedStatement,
    find_serial: PreparedStatement,
    insert: PreparedStatement,
    update: PreparedStatement,
    update_details: PreparedStatement,
    put_ticket_type: PreparedStatement,
    delete: PreparedStatement,
    delete_ticket_type: PreparedStatement,
}

impl Events {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        let find = format!("SELECT {COLUMNS} FROM events WHERE event_id = ?");
        Ok(Self {
            versions: cql::prepare(&session, VERSIONS).await?,
            find: cql::prepare(&session, &find).await?,
            find_serial: cql::prepare_serial_read(&session, &find).await?,
            insert: cql::prepare_lwt(&session, INSERT).await?,
            update: cql::prepare_lwt(&session, UPDATE).await?,
            update_details: cql::prepare_lwt(&session, UPDATE_DETAILS).await?,
            put_ticket_type: cql::prepare_lwt(&session, PUT_TICKET_TYPE).await?,
            delete: cql::prepare_lwt(&session, DELETE).await?,
            delete_ticket_type: cql::prepare_lwt(&session, DELETE_TICKET_TYPE).await?,
            session,
        })
    }

    /// The event, with every change that was answered.
    pub async fn find(&self, id: Uuid) -> Result<Option<Event>, CqlError> {
        Ok(self.read(&self.find, id).await?.map(|stored| stored.event))
    }

    /// The event, with every change that will ever have happened before this read: one that timed out is in it or
    /// never will be.
    pub async fn find_serial(&self, id: Uuid) -> Result<Option<StoredEvent>, CqlError> {
        self.read(&self.find_serial, id).await
    }

    async fn read(
        &self,
        statement: &PreparedStatement,
        id: Uuid,
    ) -> Result<Option<StoredEvent>, CqlError> {
        EventRow::into_stored(cql::rows(&self.session, statement, (id,)).await?)
    }

    /// Every event that there is, some 100 bytes of memory for each. It goes through the whole table, page by page.
    pub async fn versions(&self) -> Result<HashMap<Uuid, EventVersion>, CqlError> {
        type Row = (Uuid, Option<i64>, Option<Uuid>);
        let rows = self.session.execute_iter(self.versions.clone(), ()).await;
        let mut rows = rows
            .map_err(CqlError::answer)?
            .rows_stream::<Row>()
            .map_err(CqlError::answer)?;
        let mut versions = HashMap::new();
        while let Some((id, version, ticket_type)) =
            rows.try_next().await.map_err(CqlError::answer)?
        {
            // What is left of a deleted one has none.
            if let Some(version) = version {
                let sells = ticket_type.is_some();
                versions.insert(id, EventVersion { version, sells });
            }
        }
        Ok(versions)
    }

    /// Writes a new event. False: there is one with its id.
    pub async fn insert(&self, event: &Event, operation_id: Uuid) -> Result<bool, CqlError> {
        let values = NewRow::of(event, operation_id);
        cql::applied(self.session.execute_unpaged(&self.insert, values).await?)
    }

    /// Replaces `before` by `after`, a later version of it. False: the row is at another version by now.
    ///
    /// One batch in one partition under one condition: the version, the status, the details and the ticket types move
    /// together.
    pub async fn replace(
        &self,
        before: &Event,
        after: &Event,
        operation_id: Uuid,
    ) -> Result<bool, CqlError> {
        let mut batch = Batch::new(BatchType::Logged);
        let mut values: Vec<Box<dyn SerializeRow + Send + Sync + '_>> = Vec::new();
        batch.append_statement(BatchStatement::from(self.update.clone()));
        values.push(Box::new((
            after.version,
            operation_id,
            status_text(after.status),
            after.id,
            before.version,
        )));
        if after.details != before.details {
            batch.append_statement(BatchStatement::from(self.update_details.clone()));
            values.push(Box::new(details_values(after)));
        }
        for gone in before
            .ticket_types
            .iter()
            .filter(|known| after.ticket_type(known.id).is_none())
        {
            batch.append_statement(BatchStatement::from(self.delete_ticket_type.clone()));
            values.push(Box::new((after.id, gone.id)));
        }
        for changed in after
            .ticket_types
            .iter()
            .filter(|known| known.version > before.version)
        {
            batch.append_statement(BatchStatement::from(self.put_ticket_type.clone()));
            values.push(Box::new(ticket_type_values(after.id, changed)));
        }
        cql::applied(self.session.batch(&batch, values).await?)
    }

    /// Deletes the event with its ticket types. False: it is at another version by now, or gone.
    pub async fn delete(&self, event: &Event) -> Result<bool, CqlError> {
        let mut batch = Batch::new(BatchType::Logged);
        let mut values: Vec<Box<dyn SerializeRow + Send + Sync + '_>> = Vec::new();
        batch.append_statement(BatchStatement::from(self.delete.clone()));
        values.push(Box::new((event.id, event.version)));
        for gone in &event.ticket_types {
            batch.append_statement(BatchStatement::from(self.delete_ticket_type.clone()));
            values.push(Box::new((event.id, gone.id)));
        }
        cql::applied(self.session.batch(&batch, values).await?)
    }
}

/// What [`INSERT`] binds, by the names of its columns.
#[derive(SerializeRow)]
struct NewRow<'a> {
    event_id: Uuid,
    version: i64,
    operation_id: Uuid,
    status: &'static str,
    organizer_id: Uuid,
    name: &'a str,
    #[scylla(rename = "type")]
    kind: &'a str,
    description: &'a str,
    venue_name: &'a str,
    venue_city: &'a str,
    venue_address: &'a str,
    starts_at: CqlTimestamp,
    ends_at: CqlTimestamp,
    time_zone: &'a str,
    capacity: Option<i64>,
    image_url: Option<&'a str>,
    attendance_releases_seat: bool,
}

impl<'a> NewRow<'a> {
    fn of(event: &'a Event, operation_id: Uuid) -> Self {
        let details = &event.details;
        Self {
            event_id: event.id,
            version: event.version,
            operation_id,
            status: status_text(event.status),
            organizer_id: event.organizer_id,
            name: &details.name,
            kind: &details.kind,
            description: &details.description,
            venue_name: &details.venue.name,
            venue_city: &details.venue.city,
            venue_address: &details.venue.address,
            starts_at: to_cql(details.starts_at),
            ends_at: to_cql(details.ends_at),
            time_zone: &details.time_zone,
            capacity: details.capacity,
            image_url: details.image_url.as_deref(),
            attendance_releases_seat: details.attendance_releases_seat,
        }
    }
}

fn details_values(event: &Event) -> impl SerializeRow + Send + Sync {
    let details = &event.details;
    (
        &details.name,
        &details.kind,
        &details.description,
        &details.venue.name,
        &details.venue.city,
        &details.venue.address,
        to_cql(details.starts_at),
        to_cql(details.ends_at),
        &details.time_zone,
        details.capacity,
        &details.image_url,
        details.attendance_releases_seat,
        event.id,
    )
}

fn ticket_type_values(event_id: Uuid, ticket_type: &TicketType) -> impl SerializeRow + Send + Sync {
    let terms = &ticket_type.terms;
    (
        event_id,
        ticket_type.id,
        &terms.name,
        &terms.kind,
        terms.price.amount,
        terms.price.currency.to_string(),
        terms.quantity,
        terms.max_per_buyer,
        terms.sale_starts_at.map(to_cql),
        terms.sale_ends_at.map(to_cql),
        ticket_type.version,
    )
}
