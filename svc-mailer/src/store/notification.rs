//! Messages. Every write is a lightweight transaction: the row is the lock that keeps two instances from sending.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::notification_row::{Row, write_cause};
use super::to_cql;
use crate::domain::notification::{Claim, Content, Notification, Status};

const SELECT: &str = "SELECT notification_id, kind, cause, traceparent, created_at, status, attempts, claim_id, \
    holder, claimed_until, language, recipient, subject, message, reason, settled_at, announced \
    FROM notifications WHERE notification_id = ?";
const INSERT: &str = "INSERT INTO notifications (notification_id, kind, template, user_id, order_id, event_id, cause, \
    traceparent, created_at, status, attempts, announced) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', 0, false) IF NOT EXISTS";
const CLAIM: &str = "UPDATE notifications SET claim_id = ?, holder = ?, claimed_until = ?, attempts = ?, language = ?, \
    recipient = ?, subject = ?, message = ? WHERE notification_id = ? IF status = 'queued' AND attempts = ?";
const RELEASE: &str = "UPDATE notifications SET claimed_until = ?, reason = ? WHERE notification_id = ? \
    IF status = 'queued' AND claim_id = ?";
const SETTLE: &str = "UPDATE notifications SET status = ?, reason = ?, settled_at = ? WHERE notification_id = ? \
    IF status = 'queued'";
const ANNOUNCED: &str =
    "UPDATE notifications SET announced = true WHERE notification_id = ? IF status = ?";
const SCRUB: &str = "UPDATE notifications SET recipient = null, subject = null, message = null \
    WHERE notification_id = ? IF EXISTS";

/// The table `notifications`.
pub struct Notifications {
    session: Arc<Session>,
    read_serial: PreparedStatement,
    read: PreparedStatement,
    insert: PreparedStatement,
    claim: PreparedStatement,
    release: PreparedStatement,
    settle: PreparedStatement,
    announced: PreparedStatement,
    scrub: PreparedStatement,
}

impl Notifications {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Ok(Self {
            read_serial: cql::prepare_serial_read(&session, SELECT).await?,
            read: cql::prepare(&session, SELECT).await?,
            insert: cql::prepare_lwt(&session, INSERT).await?,
            claim: cql::prepare_lwt(&session, CLAIM).await?,
            release: cql::prepare_lwt(&session, RELEASE).await?,
            settle: cql::prepare_lwt(&session, SETTLE).await?,
            announced: cql::prepare_lwt(&session, ANNOUNCED).await?,
            scrub: cql::prepare_lwt(&session, SCRUB).await?,
            session,
        })
    }

    /// For answers: it may miss a write that is in the making.
    pub async fn find(&self, id: Uuid) -> Result<Option<Notification>, CqlError> {
        cql::first_row::<Row>(&self.session, &self.read, (id,))
            .await?
            .map(TryInto::try_into)
            .transpose()
    }

    /// For decisions: it sees every write that was accepted before it.
    pub async fn find_newest(&self, id: Uuid) -> Result<Option<Notification>, CqlError> {
        cql::first_row::<Row>(&self.session, &self.read_serial, (id,))
            .await?
            .map(TryInto::try_into)
            .transpose()
    }

    /// Writes a new message down. False: one with this id is there, and stays as it is.
    pub async fn insert(&self, new: &Notification) -> Result<bool, CqlError> {
        let values = (
            new.id,
            new.kind.as_str(),
            new.cause.template().as_str(),
            new.cause.user_id(),
            new.cause.order_id(),
            new.cause.event_id(),
            write_cause(&new.cause)?,
            new.traceparent.as_deref(),
            to_cql(new.created_at),
        );
        self.apply(&self.insert, values).await
    }

    /// Begins an attempt: counts it, notes what it says, and keeps others from sending. False: somebody else was
    /// faster.
    pub async fn claim(
        &self,
        message: &Notification,
        claim: &Claim,
        content: &Content,
    ) -> Result<bool, CqlError> {
        let values = (
            claim.id,
            claim.holder.to_string(),
            to_cql(claim.until),
            message.attempts.saturating_add(1),
            &content.language,
            &content.recipient,
            &content.subject,
            &content.text,
            message.id,
            message.attempts,
        );
        match self.apply(&self.claim, values).await {
            // The end is unknown; the row knows it.
            Err(CqlError::Execute(_)) => {
                let row = self.find_newest(message.id).await?;
                Ok(row
                    .and_then(|row| row.claim)
                    .is_some_and(|found| found.id == claim.id))
            }
            known => known,
        }
    }

    /// Ends an attempt that did not get through; the next may begin at once.
    pub async fn release(&self, id: Uuid, claim_id: Uuid, reason: &str) -> Result<(), CqlError> {
        let free = CqlTimestamp(0);
        self.apply(&self.release, (free, reason, id, claim_id))
            .await?;
        Ok(())
    }

    /// Ends the message. The first end stays.
    pub async fn settle(
        &self,
        id: Uuid,
        status: Status,
        reason: Option<&str>,
        at: Timestamp,
    ) -> Result<(), CqlError> {
        self.apply(&self.settle, (status.as_str(), reason, to_cql(at), id))
            .await?;
        Ok(())
    }

    /// Notes that the record about the message's end is out.
    pub async fn mark_announced(&self, id: Uuid, status: Status) -> Result<(), CqlError> {
        self.apply(&self.announced, (id, status.as_str())).await?;
        Ok(())
    }

    /// Takes the person out of the message; that there was one, and about what, stays.
    pub async fn scrub(&self, id: Uuid) -> Result<(), CqlError> {
        self.apply(&self.scrub, (id,)).await?;
        Ok(())
    }

    async fn apply(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<bool, CqlError> {
        cql::applied(self.session.execute_unpaged(statement, values).await?)
    }
}
