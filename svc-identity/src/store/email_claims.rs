//! Who has an e-mail address.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::{LWT_ATTEMPTS, attempt, to_cql};
use crate::domain::email::EmailKey;

/// The table of claims.
pub struct EmailClaims {
    session: Arc<Session>,
    find: PreparedStatement,
    find_newest: PreparedStatement,
    insert: PreparedStatement,
    release: PreparedStatement,
}

impl EmailClaims {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        const FIND: &str = "SELECT user_id FROM email_claims WHERE email = ?";
        const INSERT: &str =
            "INSERT INTO email_claims (email, user_id, claimed_at) VALUES (?, ?, ?) IF NOT EXISTS";
        const RELEASE: &str = "DELETE FROM email_claims WHERE email = ? IF user_id = ?";
        Ok(Self {
            find: cql::prepare(&session, FIND).await?,
            find_newest: cql::prepare_serial_read(&session, FIND).await?,
            insert: cql::prepare_lwt(&session, INSERT).await?,
            release: cql::prepare_lwt(&session, RELEASE).await?,
            session,
        })
    }

    /// The id that the address is claimed for. Whether a user has it is for the user's row to say.
    pub async fn find(&self, email: &EmailKey) -> Result<Option<Uuid>, CqlError> {
        self.read(&self.find, email).await
    }

    /// Claims the address for `proposed`, unless it is claimed: the id that it is claimed for from now on.
    ///
    /// Nobody may assume that the claim is new. Whoever made it may have crashed a moment later, and then the next one
    /// who wants the address goes on under the same id.
    pub async fn claim(
        &self,
        email: &EmailKey,
        proposed: Uuid,
        now: Timestamp,
    ) -> Result<Uuid, CqlError> {
        let mut failure = CqlError::answer("a claim that is neither made nor there");
        for _ in 0..LWT_ATTEMPTS {
            let values = (email.as_str(), proposed, to_cql(now));
            match attempt(&self.session, &self.insert, values).await {
                Ok(true) => return Ok(proposed),
                Ok(false) => {}
                Err(error) => failure = error,
            }
            if let Some(holder) = self.read(&self.find_newest, email).await? {
                return Ok(holder);
            }
        }
        Err(failure)
    }

    /// Gives the address back, if `holder` has it. Only for somebody who is no longer a user: whoever claims it next
    /// gets another id. On an error it may or may not be free; again is the same.
    pub async fn release(&self, email: &EmailKey, holder: Uuid) -> Result<(), CqlError> {
        attempt(&self.session, &self.release, (email.as_str(), holder)).await?;
        Ok(())
    }

    async fn read(
        &self,
        statement: &PreparedStatement,
        email: &EmailKey,
    ) -> Result<Option<Uuid>, CqlError> {
        let row = cql::first_row(&self.session, statement, (email.as_str(),)).await?;
        Ok(row.map(|(user_id,)| user_id))
    }
}
