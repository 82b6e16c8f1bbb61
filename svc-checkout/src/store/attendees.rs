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

use super::persons;
use crate::domain::attendee::{Attendance, Attendee};
use crate::domain::guest::Person;
use crate::domain::order::Order;

/// Orders of one page whose rows are read at once.
const READS_AT_ONCE: usize = 16;

const INSERT: &str = "INSERT INTO attendees (attendance, name, email, phone, operations, changed_at, version, \
    order_id, ticket_id, event_id, user_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
const UPDATE: &str = "UPDATE attendees SET attendance = ?, name = ?, email = ?, phone = ?, operations = ?, \
    changed_at = ?, version = ? WHERE order_id = ? AND ticket_id = ? IF version = ?";
const ERASE: &str = "UPDATE attendees SET attendance = null, name = null, email = null, phone = null, \
    operations = null, version = ? WHERE order_id = ? AND ticket_id = ? IF version = ?";
/// The columns of an [`AttendeeRow`].
const COLUMNS: &str =
    "ticket_id, event_id, user_id, version, attendance, name, email, phone, operations, changed_at";
const SAID: &str =
    "SELECT ticket_id, attendance, name, email, phone FROM attendees WHERE order_id = ?";

/// What tickets show of what was said of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether somebody will come.
    pub attendance: Attendance,
    /// Who it is.
    pub person: Option<Person>,
}

/// By ticket; of one that is missing nothing was said.
pub type SaidOfTickets = HashMap<Uuid, Said>;

/// Reads and writes attendees.
pub struct AttendeeStore {
    session: Arc<Session>,
    insert: PreparedStatement,
    update: PreparedStatement,
    erase: PreparedStatement,
    find: PreparedStatement,
    of_order: PreparedStatement,
    said: PreparedStatement,
}

impl AttendeeStore {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        let of_order = format!("SELECT {COLUMNS} FROM attendees WHERE order_id = ?");
        let find = format!("{of_order} AND ticket_id = ?");
        Ok(Self {
            insert: cql::prepare_lwt(&session, INSERT).await?,
            update: cql::prepare_lwt(&session, UPDATE).await?,
            erase: cql::prepare_lwt(&session, ERASE).await?,
            find: cql::prepare_serial_read(&session, &find).await?,
            of_order: cql::prepare_serial_read(&session, &of_order).await?,
            said: cql::prepare(&session, SAID).await?,
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
    ) -> Result<SaidOfTickets, CqlError> {
        let with_tickets = orders.into_iter().filter(|order| !order.tickets.is_empty());
        let ids: Vec<Uuid> = with_tickets.map(|order| order.id).collect();
        stream::iter(ids)
            .map(|id| self.said_of(id))
            .buffer_unordered(READS_AT_ONCE)
            .try_concat()
            .await
    }

    async fn said_of(&self, order_id: Uuid) -> Result<SaidOfTickets, CqlError> {
        let rows = cql::rows::<SaidRow>(&self.session, &self.said, (order_id,)).await?;
        let said = rows.into_iter().filter_map(|row| {
            let text = row.attendance.as_deref()?;
            let columns = (
                row.name.as_deref(),
                row.email.as_deref(),
                row.phone.as_deref(),
            );
            Some(said(row.ticket_id, text, columns).map(|said| (row.ticket_id, said)))
        });
        said.collect()
    }

    /// Writes what was said, the version after the one before. False: something else was said meanwhile.
    pub async fn put(&self, attendee: &Attendee) -> Result<bool, CqlError> {
        let operations: Vec<(Uuid, &[u8])> = attendee
            .operations
            .iter()
            .map(|(id, fingerprint)| (*id, &fingerprint[..]))
            .collect();
        let attendance = attendee.attendance.as_str();
        let (name, email, phone) = persons::columns(attendee.person.as_ref());
        let (changed_at, version) = (attendee.changed_at.as_micros(), attendee.version);
        let (order_id, ticket_id) = (attendee.order_id, attendee.ticket_id);
        let answer = if version == 1 {
            let values = (
                attendance,
                name,
                email,
                phone,
                operations,
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
                attendance,
                name,
                email,
                phone,
                operations,
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
struct SaidRow {
    ticket_id: Uuid,
    attendance: Option<String>,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
}

#[derive(DeserializeRow)]
struct AttendeeRow {
    ticket_id: Uuid,
    event_id: Uuid,
    user_id: Uuid,
    version: i64,
    attendance: Option<String>,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
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
        let columns = (
            self.name.as_deref(),
            self.email.as_deref(),
            self.phone.as_deref(),
        );
        let text = self.attendance.as_deref();
        let said = text.map(|text| said(self.ticket_id, text, columns));
        let said = said.transpose()?;
        let is_erased = said.is_none();
        let Said { attendance, person } = said.unwrap_or_default();
        Ok(Attendee {
            ticket_id: self.ticket_id,
            order_id,
            event_id: self.event_id,
            user_id: self.user_id,
            version: self.version,
            attendance,
            person,
            operations: operations.collect::<Result<_, CqlError>>()?,
            changed_at: Timestamp::from_micros(self.changed_at),
            is_erased,
        })
    }
}

fn said(ticket_id: Uuid, text: &str, columns: persons::Columns<'_>) -> Result<Said, CqlError> {
    let bad = |what: String| CqlError::Answer(format!("attendee of ticket {ticket_id}: {what}"));
    let person = persons::read(columns).map_err(|error| bad(format!("{error} expected")))?;
    let attendance = Attendance::parse(text).ok_or_else(|| bad(format!("attendance {text:?}")))?;
    Ok(Said { attendance, person })
}
