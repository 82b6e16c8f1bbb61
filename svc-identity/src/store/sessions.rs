//! Sessions' rows, and which access token belongs to which session.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session as CqlSession;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::{LWT_ATTEMPTS, attempt, from_cql, seconds, to_cql};
use crate::domain::key_ring::ACCESS_TOKEN_LIFETIME;
use crate::domain::session::{SecretHash, Session};

const ACTIVE: &str = "active";
const REVOKED: &str = "revoked";
/// How much longer than its token the row lives that names its session, for clocks that differ.
const TOKEN_ROW_MARGIN: Duration = Duration::from_secs(5 * 60);
/// Sessions of one user that are read at once.
const READS_AT_ONCE: usize = 16;

/// The tables of sessions.
pub struct Sessions {
    session: Arc<CqlSession>,
    find: PreparedStatement,
    find_newest: PreparedStatement,
    insert: PreparedStatement,
    rotate: PreparedStatement,
    revoke: PreparedStatement,
    insert_token: PreparedStatement,
    find_by_token: PreparedStatement,
    insert_of_user: PreparedStatement,
    of_user: PreparedStatement,
}

type Row = (
    Uuid,
    String,
    Vec<u8>,
    CqlTimestamp,
    Option<i32>,
    Option<CqlTimestamp>,
);

impl Sessions {
    /// Prepares the statements.
    pub async fn new(session: Arc<CqlSession>) -> Result<Self, CqlError> {
        const FIND: &str = "SELECT user_id, status, token_hash, expires_at, epoch, signed_in_at \
             FROM sessions WHERE session_id = ?";
        const INSERT: &str = "INSERT INTO sessions (session_id, user_id, status, token_hash, \
             expires_at, epoch, signed_in_at) VALUES (?, ?, ?, ?, ?, ?, ?) \
             IF NOT EXISTS USING TTL ?";
        const ROTATE: &str = "UPDATE sessions USING TTL ? SET token_hash = ? \
             WHERE session_id = ? IF token_hash = ? AND status = ?";
        const REVOKE: &str = "UPDATE sessions USING TTL ? SET status = ? \
             WHERE session_id = ? IF status = ?";
        const INSERT_TOKEN: &str =
            "INSERT INTO session_by_token (token_id, session_id) VALUES (?, ?) USING TTL ?";
        const FIND_BY_TOKEN: &str = "SELECT session_id FROM session_by_token WHERE token_id = ?";
        const INSERT_OF_USER: &str =
            "INSERT INTO sessions_by_user (user_id, session_id) VALUES (?, ?) USING TTL ?";
        const OF_USER: &str = "SELECT session_id FROM sessions_by_user WHERE user_id = ? LIMIT ?";
        Ok(Self {
            find: cql::prepare(&session, FIND).await?,
            find_newest: cql::prepare_serial_read(&session, FIND).await?,
            insert: cql::prepare_lwt(&session, INSERT).await?,
            rotate: cql::prepare_lwt(&session, ROTATE).await?,
            revoke: cql::prepare_lwt(&session, REVOKE).await?,
            insert_token: cql::prepare(&session, INSERT_TOKEN).await?,
            find_by_token: cql::prepare(&session, FIND_BY_TOKEN).await?,
            insert_of_user: cql::prepare(&session, INSERT_OF_USER).await?,
            of_user: cql::prepare(&session, OF_USER).await?,
            session,
        })
    }

    /// The session, unless it is over.
    pub async fn find(&self, id: Uuid) -> Result<Option<Session>, CqlError> {
        self.read(&self.find, id).await
    }

    /// Begins a session. Its id is new, so that on an error nobody knows it and it may as well not be there.
    pub async fn insert(&self, new: &Session, now: Timestamp) -> Result<(), CqlError> {
        let values = (
            new.id,
            new.user_id,
            ACTIVE,
            new.secret_hash.as_slice(),
            to_cql(new.expires_at),
            new.epoch,
            new.signed_in_at.map(to_cql),
            ttl(new, now),
        );
        let of_user = (new.user_id, new.id, ttl(new, now));
        futures::try_join!(
            self.session.execute_unpaged(&self.insert, values),
            self.session.execute_unpaged(&self.insert_of_user, of_user),
        )?;
        Ok(())
    }

    /// Up to `limit` sessions of a user that have not run out.
    pub async fn of_user(&self, user_id: Uuid, limit: usize) -> Result<Vec<Session>, CqlError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let ids = cql::rows::<(Uuid,)>(&self.session, &self.of_user, (user_id, limit)).await?;
        let found: Vec<Option<Session>> = stream::iter(ids)
            .map(|(id,)| self.find(id))
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Replaces the secret that `session` was read with; whether it did: not, when somebody else did first or the
    /// session was revoked. On an error it may or may not have.
    pub async fn rotate(
        &self,
        session: &Session,
        next: &SecretHash,
        now: Timestamp,
    ) -> Result<bool, CqlError> {
        let mut failure = CqlError::answer("a rotation that is neither made nor refused");
        for _ in 0..LWT_ATTEMPTS {
            let values = (
                ttl(session, now),
                next.as_slice(),
                session.id,
                session.secret_hash.as_slice(),
                ACTIVE,
            );
            match attempt(&self.session, &self.rotate, values).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => failure = error,
            }
            match self.read(&self.find_newest, session.id).await? {
                Some(found) if found.secret_hash == *next => return Ok(true),
                Some(found) if found.secret_hash == session.secret_hash && !found.revoked => {}
                _ => return Ok(false),
            }
        }
        Err(failure)
    }

    /// Ends the session; one that has ended stays so. On an error it may or may not have ended.
    pub async fn revoke(&self, session: &Session, now: Timestamp) -> Result<(), CqlError> {
        let mut failure = CqlError::answer("a session that is neither ended nor left alone");
        for _ in 0..LWT_ATTEMPTS {
            let values = (ttl(session, now), REVOKED, session.id, ACTIVE);
            match attempt(&self.session, &self.revoke, values).await {
                Ok(_) => return Ok(()),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Writes down that an access token is about to be issued in the session.
    pub async fn insert_token(&self, token_id: Uuid, session_id: Uuid) -> Result<(), CqlError> {
        let ttl = seconds(ACCESS_TOKEN_LIFETIME + TOKEN_ROW_MARGIN);
        self.session
            .execute_unpaged(&self.insert_token, (token_id, session_id, ttl))
            .await?;
        Ok(())
    }

    /// The session that the access token was issued in, unless it is over.
    pub async fn find_by_token(&self, token_id: Uuid) -> Result<Option<Session>, CqlError> {
        match cql::first_row(&self.session, &self.find_by_token, (token_id,)).await? {
            Some((session_id,)) => self.find(session_id).await,
            None => Ok(None),
        }
    }

    async fn read(
        &self,
        statement: &PreparedStatement,
        id: Uuid,
    ) -> Result<Option<Session>, CqlError> {
        let row = cql::first_row::<Row>(&self.session, statement, (id,)).await?;
        let Some((user_id, status, token_hash, expires_at, epoch, signed_in_at)) = row else {
            return Ok(None);
        };
        let secret_hash = token_hash
            .try_into()
            .map_err(|_| CqlError::answer(format!("session {id}: a hash of another length")))?;
        Ok(Some(Session {
            id,
            user_id,
            revoked: status != ACTIVE,
            secret_hash,
            epoch: epoch.unwrap_or_default(),
            signed_in_at: signed_in_at.map(from_cql),
            expires_at: from_cql(expires_at),
        }))
    }
}

/// What is left of the session, at least a second: a TTL of zero would mean for ever.
fn ttl(session: &Session, now: Timestamp) -> i32 {
    seconds(session.expires_at.since(now)).max(1)
}
