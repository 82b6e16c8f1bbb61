//! The table `guests`. Lightweight transactions only: rows of a request and of its repeat meet here.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::persons;
use crate::domain::guest::{Guest, Standing};

const INSERT: &str = "INSERT INTO guests (guest_id, event_id, order_id, ticket_type_id, version, status, attempt, \
    wanted_at, name, email, phone, locale) VALUES (?, ?, ?, ?, 1, 'wanted', ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
const TAKE_OVER: &str =
    "UPDATE guests SET attempt = ?, wanted_at = ? WHERE guest_id = ? IF status = 'wanted'";
const LIST: &str =
    "UPDATE guests SET status = 'listed', version = 2 WHERE guest_id = ? IF status = 'wanted'";
const FORGET: &str = "DELETE FROM guests WHERE guest_id = ? IF status = 'wanted' AND attempt = ?";
const ERASE: &str = "UPDATE guests SET status = 'erased', version = 3, name = null, email = null, phone = null \
    WHERE guest_id = ? IF status = 'listed'";
const FIND: &str = "SELECT guest_id, event_id, order_id, ticket_type_id, version, status, attempt, wanted_at, name, email, \
    phone, locale FROM guests WHERE guest_id = ?";

/// Reads and writes guests.
pub struct GuestStore {
    session: Arc<Session>,
    insert: PreparedStatement,
    take_over: PreparedStatement,
    list: PreparedStatement,
    forget: PreparedStatement,
    erase: PreparedStatement,
    find: PreparedStatement,
}

impl GuestStore {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Ok(Self {
            insert: cql::prepare_lwt(&session, INSERT).await?,
            take_over: cql::prepare_lwt(&session, TAKE_OVER).await?,
            list: cql::prepare_lwt(&session, LIST).await?,
            forget: cql::prepare_lwt(&session, FORGET).await?,
            erase: cql::prepare_lwt(&session, ERASE).await?,
            find: cql::prepare_serial_read(&session, FIND).await?,
            session,
        })
    }

    /// The guest, with every change that will ever have happened before this read.
    pub async fn find(&self, id: Uuid) -> Result<Option<Guest>, CqlError> {
        let answer = self.session.execute_unpaged(&self.find, (id,)).await?;
        let rows = answer.into_rows_result().map_err(CqlError::answer)?;
        let row = rows
            .maybe_first_row::<GuestRow>()
            .map_err(CqlError::answer)?;
        row.map(GuestRow::read).transpose()
    }

    /// Writes a wanted guest down, or takes over what an earlier attempt wrote down. False: the guest is listed or was
    /// erased.
    pub async fn want(&self, guest: &Guest) -> Result<bool, CqlError> {
        let (name, email, phone) = persons::columns(guest.person.as_ref());
        let wanted_at = guest.wanted_at.as_micros();
        let values = (
            guest.id,
            guest.event_id,
            guest.order_id,
            guest.ticket_type_id,
            guest.attempt,
            wanted_at,
            name,
            email,
            phone,
            &guest.locale,
        );
        let answer = self.session.execute_unpaged(&self.insert, values).await?;
        if cql::applied(answer)? {
            return Ok(true);
        }
        let values = (guest.attempt, wanted_at, guest.id);
        let answer = self
            .session
            .execute_unpaged(&self.take_over, values)
            .await?;
        cql::applied(answer)
    }

    /// The guest has a ticket. False: there is no wanted guest.
    pub async fn list(&self, id: Uuid) -> Result<bool, CqlError> {
        cql::applied(self.session.execute_unpaged(&self.list, (id,)).await?)
    }

    /// The attempt came to nothing. Does nothing when another attempt has taken over.
    pub async fn forget(&self, guest: &Guest) -> Result<(), CqlError> {
        let values = (guest.id, guest.attempt);
        cql::applied(self.session.execute_unpaged(&self.forget, values).await?)?;
        Ok(())
    }

    /// Takes the person out of the row. False: there is no listed guest.
    pub async fn erase(&self, id: Uuid) -> Result<bool, CqlError> {
        cql::applied(self.session.execute_unpaged(&self.erase, (id,)).await?)
    }
}

#[derive(DeserializeRow)]
struct GuestRow {
    guest_id: Uuid,
    event_id: Uuid,
    order_id: Uuid,
    ticket_type_id: Uuid,
    version: i64,
    status: String,
    attempt: Uuid,
    wanted_at: i64,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    locale: String,
}

impl GuestRow {
    fn read(self) -> Result<Guest, CqlError> {
        let id = self.guest_id;
        let columns = (
            self.name.as_deref(),
            self.email.as_deref(),
            self.phone.as_deref(),
        );
        let person = persons::read(columns)
            .map_err(|error| CqlError::Answer(format!("guest {id}: {error} expected")))?;
        let standing = Standing::ALL
            .into_iter()
            .find(|standing| standing.as_str() == self.status)
            .ok_or_else(|| CqlError::Answer(format!("guest {id}: status {:?}", self.status)))?;
        Ok(Guest {
            id,
            event_id: self.event_id,
            order_id: self.order_id,
            ticket_type_id: self.ticket_type_id,
            version: self.version,
            standing,
            person,
            locale: self.locale,
            attempt: self.attempt,
            wanted_at: Timestamp::from_micros(self.wanted_at),
        })
    }
}
