//! Messages whose end was told on mailer.notifications.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::to_cql;

const INSERT: &str =
    "INSERT INTO announced_notifications (notification_id, announced_at) VALUES (?, ?)";
const FIND: &str = "SELECT notification_id FROM announced_notifications WHERE notification_id = ?";

/// The table `announced_notifications`. An entry that is missing tells an end once more, and that is all that it does:
/// a plain write is enough.
pub struct Announced {
    session: Arc<Session>,
    insert: PreparedStatement,
    find: PreparedStatement,
}

impl Announced {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Ok(Self {
            insert: cql::prepare(&session, INSERT).await?,
            find: cql::prepare(&session, FIND).await?,
            session,
        })
    }

    /// Notes that the record about the message's end is out.
    pub async fn put(&self, id: Uuid, at: Timestamp) -> Result<(), CqlError> {
        self.session
            .execute_unpaged(&self.insert, (id, to_cql(at)))
            .await?;
        Ok(())
    }

    /// Whether it is.
    pub async fn contains(&self, id: Uuid) -> Result<bool, CqlError> {
        let found: Option<(Uuid,)> = cql::first_row(&self.session, &self.find, (id,)).await?;
        Ok(found.is_some())
    }
}
