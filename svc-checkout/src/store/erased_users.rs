//! The table `erased_users`: whose tokens are still good for some minutes, and who shall leave nothing behind any more.

use std::sync::Arc;

use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

/// Reads and writes who was erased.
pub struct ErasedUserStore {
    session: Arc<Session>,
    insert: PreparedStatement,
    find: PreparedStatement,
}

impl ErasedUserStore {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        let insert = "INSERT INTO erased_users (user_id) VALUES (?)";
        let find = "SELECT user_id FROM erased_users WHERE user_id = ?";
        Ok(Self {
            insert: cql::prepare(&session, insert).await?,
            find: cql::prepare(&session, find).await?,
            session,
        })
    }

    /// Writes down that the user was erased.
    pub async fn put(&self, user_id: Uuid) -> Result<(), CqlError> {
        self.session
            .execute_unpaged(&self.insert, (user_id,))
            .await?;
        Ok(())
    }

    /// Whether the user was erased.
    pub async fn has(&self, user_id: Uuid) -> Result<bool, CqlError> {
        let found = cql::first_row::<(Uuid,)>(&self.session, &self.find, (user_id,)).await?;
        Ok(found.is_some())
    }
}
