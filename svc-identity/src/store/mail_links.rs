//! Links in mails.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::{from_cql, seconds, to_cql};
use crate::domain::mail_link::{MailLink, Purpose};

/// The table of links.
pub struct MailLinks {
    session: Arc<Session>,
    insert: PreparedStatement,
    find: PreparedStatement,
    delete: PreparedStatement,
}

type Row = (Uuid, Vec<u8>, i32, CqlTimestamp, Option<Uuid>);

impl MailLinks {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        const INSERT: &str = "INSERT INTO mail_links (purpose, link_id, user_id, secret_hash, epoch, \
             expires_at, wish_id) VALUES (?, ?, ?, ?, ?, ?, ?) USING TTL ?";
        const FIND: &str = "SELECT user_id, secret_hash, epoch, expires_at, wish_id FROM mail_links \
             WHERE purpose = ? AND link_id = ?";
        const DELETE: &str = "DELETE FROM mail_links WHERE purpose = ? AND link_id = ?";
        Ok(Self {
            insert: cql::prepare(&session, INSERT).await?,
            find: cql::prepare(&session, FIND).await?,
            delete: cql::prepare(&session, DELETE).await?,
            session,
        })
    }

    /// Writes a new link down. On an error nobody knows the link, and it may as well not be there.
    pub async fn insert(
        &self,
        purpose: Purpose,
        link: &MailLink,
        now: Timestamp,
    ) -> Result<(), CqlError> {
        let values = (
            purpose.as_str(),
            link.id,
            link.user_id,
            link.secret_hash.as_slice(),
            link.epoch,
            to_cql(link.expires_at),
            link.wish_id,
            // Zero would mean for ever.
            seconds(link.expires_at.since(now)).max(1),
        );
        self.session.execute_unpaged(&self.insert, values).await?;
        Ok(())
    }

    /// The link, unless it was used or is over.
    pub async fn find(&self, purpose: Purpose, id: Uuid) -> Result<Option<MailLink>, CqlError> {
        let values = (purpose.as_str(), id);
        let row = cql::first_row::<Row>(&self.session, &self.find, values).await?;
        let Some((user_id, secret_hash, epoch, expires_at, wish_id)) = row else {
            return Ok(None);
        };
        let secret_hash = secret_hash
            .try_into()
            .map_err(|_| CqlError::answer(format!("link {id}: a hash of another length")))?;
        Ok(Some(MailLink {
            id,
            user_id,
            secret_hash,
            epoch,
            wish_id,
            expires_at: from_cql(expires_at),
        }))
    }

    /// Forgets a link that was used.
    pub async fn delete(&self, purpose: Purpose, id: Uuid) -> Result<(), CqlError> {
        self.session
            .execute_unpaged(&self.delete, (purpose.as_str(), id))
            .await?;
        Ok(())
    }
}
