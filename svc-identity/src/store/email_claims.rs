//! Who has an e-mail address.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::{LWT_ATTEMPTS, attempt, from_cql, to_cql};
use crate::domain::email::{Email, EmailKey};

/// Who has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmailClaim {
    /// Whom the address is claimed for.
    pub holder: Uuid,
    /// When, to the millisecond. No two claims of an address by one holder have the same time.
    pub at: Timestamp,
}

/// The table of claims.
pub struct EmailClaims {
    session: Arc<Session>,
    find: PreparedStatement,
    find_newest: PreparedStatement,
    insert: PreparedStatement,
    renew: PreparedStatement,
    release: PreparedStatement,
    release_one: PreparedStatement,
    list: PreparedStatement,
    list_after: PreparedStatement,
}

type ListedRow = (String, Uuid, CqlTimestamp);

impl EmailClaims {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        const FIND: &str = "SELECT user_id, claimed_at FROM email_claims WHERE email = ?";
        const INSERT: &str =
            "INSERT INTO email_claims (email, user_id, claimed_at) VALUES (?, ?, ?) IF NOT EXISTS";
        const RENEW: &str = "UPDATE email_claims SET claimed_at = ? WHERE email = ? \
             IF user_id = ? AND claimed_at = ?";
        const RELEASE: &str = "DELETE FROM email_claims WHERE email = ? IF user_id = ?";
        const RELEASE_ONE: &str =
            "DELETE FROM email_claims WHERE email = ? IF user_id = ? AND claimed_at = ?";
        const LIST: &str = "SELECT email, user_id, claimed_at FROM email_claims LIMIT ?";
        const LIST_AFTER: &str = "SELECT email, user_id, claimed_at FROM email_claims \
             WHERE token(email) > token(?) LIMIT ?";
        Ok(Self {
            find: cql::prepare(&session, FIND).await?,
            find_newest: cql::prepare_serial_read(&session, FIND).await?,
            insert: cql::prepare_lwt(&session, INSERT).await?,
            renew: cql::prepare_lwt(&session, RENEW).await?,
            release: cql::prepare_lwt(&session, RELEASE).await?,
            release_one: cql::prepare_lwt(&session, RELEASE_ONE).await?,
            list: cql::prepare(&session, LIST).await?,
            list_after: cql::prepare(&session, LIST_AFTER).await?,
            session,
        })
    }

    /// The id that the address is claimed for. Whether a user has it is for the user's row to say.
    pub async fn find(&self, email: &EmailKey) -> Result<Option<Uuid>, CqlError> {
        let claim = self.read(&self.find, email).await?;
        Ok(claim.map(|claim| claim.holder))
    }

    /// The claim of the address, after every change that was accepted before this call.
    pub async fn find_newest(&self, email: &EmailKey) -> Result<Option<EmailClaim>, CqlError> {
        self.read(&self.find_newest, email).await
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
            if let Some(claim) = self.find_newest(email).await? {
                return Ok(claim.holder);
            }
        }
        Err(failure)
    }

    /// Claims the address for `holder`, who is a user already; whether it is his: not, when somebody else has it. One that
    /// he has is claimed anew, so that nobody who is about to give the former claim back takes this one away. It is no matter who
    /// does that: many may be finishing the same change for him, and of those who claim at once one is told that it did.
    pub async fn take(
        &self,
        email: &EmailKey,
        holder: Uuid,
        now: Timestamp,
    ) -> Result<bool, CqlError> {
        let before = self.find_newest(email).await?;
        let mut found = before;
        let mut failure = CqlError::answer("an address that is neither claimed nor refused");
        for _ in 0..LWT_ATTEMPTS {
            let tried = match found {
                Some(claim) if claim.holder != holder => return Ok(false),
                // It was claimed for him since this call began, which is what is wanted.
                Some(_) if found != before => return Ok(true),
                Some(claim) => {
                    let at = now.max(claim.at + Duration::from_millis(1));
                    let values = (to_cql(at), email.as_str(), holder, to_cql(claim.at));
                    attempt(&self.session, &self.renew, values).await
                }
                None => {
                    let values = (email.as_str(), holder, to_cql(now));
                    attempt(&self.session, &self.insert, values).await
                }
            };
            match tried {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => failure = error,
            }
            found = self.find_newest(email).await?;
        }
        match found {
            Some(claim) if claim.holder != holder => Ok(false),
            Some(_) if found != before => Ok(true),
            _ => Err(failure),
        }
    }

    /// Gives this one claim back, and no later one. On an error it may or may not be free; again is the same.
    pub async fn release_one(&self, email: &EmailKey, claim: EmailClaim) -> Result<(), CqlError> {
        let values = (email.as_str(), claim.holder, to_cql(claim.at));
        attempt(&self.session, &self.release_one, values).await?;
        Ok(())
    }

    /// Gives the address back, if `holder` has it. Only for somebody who is no longer a user: whoever claims it next
    /// gets another id. On an error it may or may not be free; again is the same.
    pub async fn release(&self, email: &EmailKey, holder: Uuid) -> Result<(), CqlError> {
        attempt(&self.session, &self.release, (email.as_str(), holder)).await?;
        Ok(())
    }

    /// Up to `limit` claims after that of `after`, in no order that means anything. Fewer are the last ones.
    pub async fn list(
        &self,
        after: Option<&EmailKey>,
        limit: usize,
    ) -> Result<Vec<(EmailKey, EmailClaim)>, CqlError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let session = &self.session;
        let rows: Vec<ListedRow> = match after {
            Some(after) => cql::rows(session, &self.list_after, (after.as_str(), limit)).await?,
            None => cql::rows(session, &self.list, (limit,)).await?,
        };
        let claim = |(email, holder, at): ListedRow| {
            let email = Email::parse(&email).map_err(|_| CqlError::answer("a claim of no address"));
            let at = from_cql(at);
            email.map(|email| (email.key(), EmailClaim { holder, at }))
        };
        rows.into_iter().map(claim).collect()
    }

    async fn read(
        &self,
        statement: &PreparedStatement,
        email: &EmailKey,
    ) -> Result<Option<EmailClaim>, CqlError> {
        let row = cql::first_row(&self.session, statement, (email.as_str(),)).await?;
        Ok(row.map(|(holder, at): (Uuid, CqlTimestamp)| EmailClaim {
            holder,
            at: from_cql(at),
        }))
    }
}
