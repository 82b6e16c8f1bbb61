//! The table `attendees`. Lightweight transactions only: an order's tickets lie in one partition.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use crate::domain::attendee::{Attendance, Attendee};
use crate::domain::order::Order;

/// Orders of one page whose rows are read at once.
const READS_AT_ONCE: usize = 16;

const INSERT: &str = "INSERT INTO attendees (attendance, operations, changed_at, version, order_id, ticket_id, event_id, \
    user_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
const UPDATE: &str = "UPDATE attendees SET attendance = ?, operations = ?, changed_at = ?, version = ? \
    WHERE order_id = ? AND ticket_id = ? IF version = ?";
const ERASE: &str = "UPDATE attendees SET attendance = null, operations = null, version = ? \
    WHERE order_id = ? AND ticket_id = ? IF version = ?";
const OF_ORDER: &str = "SELECT ticket_id, event_id, user_id, version, attendance, operations, changed_at FROM attendees \
    WHERE order_id = ?";
const FIND: &str = "SELECT ticket_id, event_id, user_id, version, attendance, operations, changed_at FROM attendees \
    WHERE order_id = ? AND ticket_id = ?";
const ATTENDANCES: &str = "SELECT ticket_id, attendance FROM attendees WHERE order_id = ?";

/// Whether somebody will come, by ticket; one that is missing is pending.
pub type Attendances = HashMap<Uuid, Attendance>;

/// Reads and writes attendees.
pub struct AttendeeStore {
    session: Arc<Session>,
    insert: PreparedStatement,
    update: PreparedStatement,
    erase: PreparedStatement,
    find: PreparedStatement,
    of_order: PreparedStatement,
    attendances: PreparedStatement,
}

impl AttendeeStore {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Ok(Self {
            insert: cql::prepare_lwt(&session, INSERT).await?,
            update: cql::prepare_lwt(&session, UPDATE).await?,
            erase: cql::prepare_lwt(&session, ERASE).await?,
            find: cql::prepare_serial_read(&session, FIND).await?,
            of_order: cql::prepare_serial_read(&session, OF_ORDER).await?,
            attendances: cql::prepare(&session, ATTENDANCES).await?,
            session,
        })
    }

    /// What was said of an order's tickets, with every change that will ever have happened before this read. An order has
    /// at most 2,000 tickets.
    pub async fn of_order(&self, order_id: Uuid) -> Result<Vec<Attendee>, CqlError> {
        let rows = cql::rows::<AttendeeRow>(&self.session, &self.of_order, (order_id,)).await?;
        rows.into_iter().map(|row| row.read(order_id)).collect()
    }

    /// What was said of one ticket, likewise.
    pub async fn find(
        &self,
        order_id: Uuid,
        ticket_id: Uuid,
    ) -> Result<Option<Attendee>, CqlError> {
        let values = (order_id, ticket_id);
        let row = cql::first_row::<AttendeeRow>(&self.session, &self.find, values).await?;
        row.map(|row| row.read(order_id)).transpose()
    }

    /// What was said of the tickets of these orders.
    pub async fn of_tickets<'a>(
        &self,
        orders: impl IntoIterator<Item = &'a Order>,
    ) -> Result<Attendances, CqlError> {
        let with_tickets = orders.into_iter().filter(|order| !order.tickets.is_empty());
        let ids: Vec<Uuid> = with_tickets.map(|order| order.id).collect();
        stream::iter(ids)
            .map(|id| self.attendances_of(id))
            .buffer_unordered(READS_AT_ONCE)
            .try_concat()
            .await
    }

    async fn attendances_of(&self, order_id: Uuid) -> Result<Attendances, CqlError> {
        type Row = (Uuid, Option<String>);
        let rows = cql::rows::<Row>(&self.session, &self.attendances, (order_id,)).await?;
        rows.into_iter()
            .filter_map(|(ticket_id, text)| Some((ticket_id, text?)))
            .map(|(ticket_id, text)| Ok((ticket_id, attendance(&text)?)))
            .collect()
    }

    /// Writes what was said, the version after the one before. False: something else was said meanwhile.
    pub async fn put(&self, attendee: &Attendee) -> Result<bool, CqlError> {
        let operations: Vec<(Uuid, &[u8])> = attendee
            .operations
            .iter()
            .map(|(id, fingerprint)| (*id, &fingerprint[..]))
            .collect();
        let said = (attendee.attendance.as_str(), operations);
        let (changed_at, version) = (attendee.changed_at.as_micros(), attendee.version);
        let (order_id, ticket_id) = (attendee.order_id, attendee.ticket_id);
        let answer = if version == 1 {
            let values = (
                said.0,
                said.1,
                changed_at,
                version,
                order_id,
                ticket_id,
                attendee.event_id,
                attendee.user_id,
            );
            self.session.execute_unpaged(&self.insert, values).await?
        } else {
            let values = (
                said.0,
                said.1,
                changed_at,
                version,
                order_id,
                ticket_id,
                version - 1,
            );
            self.session.execute_unpaged(&self.update, values).await?
        };
        cql::applied(answer)
    }

    /// Takes away what was said. False: something else was said meanwhile.
    pub async fn erase(&self, attendee: &Attendee) -> Result<bool, CqlError> {
        let version = attendee.version;
        let values = (version + 1, attendee.order_id, attendee.ticket_id, version);
        cql::applied(self.session.execute_unpaged(&self.erase, values).await?)
    }
}

#[derive(DeserializeRow)]
struct AttendeeRow {
    ticket_id: Uuid,
    event_id: Uuid,
    user_id: Uuid,
    version: i64,
    attendance: Option<String>,
    operations: Option<Vec<(Uuid, Vec<u8>)>>,
    changed_at: i64,
}

impl AttendeeRow {
    fn read(self, order_id: Uuid) -> Result<Attendee, CqlError> {
        let operation = |(id, body): (Uuid, Vec<u8>)| {
            let body = body.try_into();
            let body =
                body.map_err(|_| CqlError::Answer(format!("operation {id}: 32 bytes expected")))?;
            Ok((id, body))
        };
        let operations = self.operations.into_iter().flatten().map(operation);
        let said = self.attendance.as_deref().map(attendance).transpose()?;
        Ok(Attendee {
            ticket_id: self.ticket_id,
            order_id,
            event_id: self.event_id,
            user_id: self.user_id,
            version: self.version,
            attendance: said.unwrap_or_default(),
            operations: operations.collect::<Result<_, CqlError>>()?,
            changed_at: Timestamp::from_micros(self.changed_at),
            is_erased: said.is_none(),
        })
    }
}

fn attendance(text: &str) -> Result<Attendance, CqlError> {
    Attendance::parse(text).ok_or_else(|| CqlError::Answer(format!("attendance {text:?}")))
}
