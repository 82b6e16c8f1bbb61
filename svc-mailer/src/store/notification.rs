//! Messages. Every write is a lightweight transaction: the row is the lock that keeps two instances from sending.

use std::sync::Arc;

use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::notification_row::{NewRow, Row};
use super::to_cql;
use crate::domain::notification::Notification;

const SELECT: &str = "SELECT notification_id, kind, cause, traceparent, created_at, status, attempts, claim_id, \
    holder, claimed_until, language, recipient, subject, message, reason, settled_at, announced \
    FROM notifications WHERE notification_id = ?";
// `announced` is for the version before this one, which reads it while instances are replaced.
const INSERT: &str = "INSERT INTO notifications (notification_id, kind, template, user_id, order_id, event_id, cause, \
    traceparent, created_at, attempts, claim_id, holder, claimed_until, language, recipient, subject, message, \
    status, announced) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', false) IF NOT EXISTS";
const CLAIM: &str = "UPDATE notifications SET claim_id = ?, holder = ?, claimed_until = ?, attempts = ?, language = ?, \
    recipient = ?, subject = ?, message = ? WHERE notification_id = ? IF status = 'queued' AND attempts = ?";
const RELEASE: &str = "UPDATE notifications SET claimed_until = ?, reason = ? WHERE notification_id = ? \
    IF status = 'queued' AND claim_id = ?";
const SETTLE: &str = "UPDATE notifications SET status = ?, reason = ?, settled_at = ? WHERE notification_id = ? \
    IF status = 'queued'";
// Not while somebody has begun an attempt since the row was read.
const SETTLE_UNSENT: &str = "UPDATE notifications SET status = ?, reason = ?, settled_at = ? \
    WHERE notification_id = ? IF status = 'queued' AND attempts = ?";
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
    settle_unsent: PreparedStatement,
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
            settle_unsent: cql::prepare_lwt(&session, SETTLE_UNSENT).await?,
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

    /// Writes a new message down, together with the attempt that it begins with, if it does. False: one with this id is
    /// there, and stays as it is.
    pub async fn insert(&self, new: &Notification) -> Result<bool, CqlError> {
        let inserted = self.apply(&self.insert, NewRow::of(new)?).await;
        self.or_by_its_claim(inserted, new).await
    }

    /// Begins one more attempt: counts it, notes what it says, and keeps others from sending. False: somebody else was
    /// faster.
    pub async fn claim(&self, begun: &Notification) -> Result<bool, CqlError> {
        let (Some(claim), Some(content)) = (&begun.claim, &begun.content) else {
            return Err(CqlError::answer("an attempt that nobody makes"));
        };
        let values = (
            claim.id,
            claim.holder.to_string(),
            to_cql(claim.until),
            begun.attempts,
            &content.language,
            &content.recipient,
            &content.subject,
            &content.text,
            begun.id,
            begun.attempts - 1,
        );
        let claimed = self.apply(&self.claim, values).await;
        self.or_by_its_claim(claimed, begun).await
    }

    /// Ends an attempt that did not get through; the next may begin at once.
    pub async fn release(&self, begun: &Notification, reason: &str) -> Result<(), CqlError> {
        let free = CqlTimestamp(0);
        let claim_id = begun.claim.as_ref().map(|claim| claim.id);
        self.apply(&self.release, (free, reason, begun.id, claim_id))
            .await?;
        Ok(())
    }

    /// Ends the message. False: it has an end, which stays. After an error that may be this one.
    pub async fn settle(&self, ended: &Notification) -> Result<bool, CqlError> {
        let values = (
            ended.status.as_str(),
            ended.reason.as_deref(),
            ended.settled_at.map(to_cql),
            ended.id,
        );
        self.apply(&self.settle, values).await
    }

    /// [`Notifications::settle`] for a message that nobody sends. False also when somebody began to since it was read.
    pub async fn settle_unsent(&self, ended: &Notification) -> Result<bool, CqlError> {
        let values = (
            ended.status.as_str(),
            ended.reason.as_deref(),
            ended.settled_at.map(to_cql),
            ended.id,
            ended.attempts,
        );
        self.apply(&self.settle_unsent, values).await
    }

    /// Takes the person out of the message; that there was one, and about what, stays.
    pub async fn scrub(&self, id: Uuid) -> Result<(), CqlError> {
        self.apply(&self.scrub, (id,)).await?;
        Ok(())
    }

    /// Where the end of a write that begins an attempt is unknown, the row knows it.
    async fn or_by_its_claim(
        &self,
        written: Result<bool, CqlError>,
        begun: &Notification,
    ) -> Result<bool, CqlError> {
        match (written, &begun.claim) {
            (Err(CqlError::Execute(_)), Some(claim)) => {
                let row = self.find_newest(begun.id).await?;
                let found = row.and_then(|row| row.claim);
                Ok(found.is_some_and(|found| found.id == claim.id))
            }
            (written, _) => written,
        }
    }

    async fn apply(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<bool, CqlError> {
        cql::applied(self.session.execute_unpaged(statement, values).await?)
    }
}
