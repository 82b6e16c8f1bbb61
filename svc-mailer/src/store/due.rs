//! Messages that wait for a better time.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::{bucket, from_cql, to_cql};

/// Partitions of the table.
pub const BUCKETS: i32 = 8;
/// Entries taken out of a bucket at a time.
const BATCH: i32 = 50;

const INSERT: &str =
    "INSERT INTO due_notifications (bucket, due_at, notification_id) VALUES (?, ?, ?)";
const DELETE: &str =
    "DELETE FROM due_notifications WHERE bucket = ? AND due_at = ? AND notification_id = ?";
const LIST: &str = "SELECT due_at, notification_id FROM due_notifications WHERE bucket = ? AND due_at <= ? LIMIT ?";

/// When to look at which message again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Not before.
    pub at: Timestamp,
    /// The message.
    pub id: Uuid,
}

/// The table `due_notifications`.
pub struct DueNotifications {
    session: Arc<Session>,
    insert: PreparedStatement,
    delete: PreparedStatement,
    list: PreparedStatement,
}

impl DueNotifications {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Ok(Self {
            insert: cql::prepare(&session, INSERT).await?,
            delete: cql::prepare(&session, DELETE).await?,
            list: cql::prepare(&session, LIST).await?,
            session,
        })
    }

    /// Notes that the message must be looked at again.
    pub async fn put(&self, due: Due) -> Result<(), CqlError> {
        let values = (bucket(due.id, BUCKETS), to_cql(due.at), due.id);
        self.session.execute_unpaged(&self.insert, values).await?;
        Ok(())
    }

    /// Forgets an entry.
    pub async fn delete(&self, due: Due) -> Result<(), CqlError> {
        let values = (bucket(due.id, BUCKETS), to_cql(due.at), due.id);
        self.session.execute_unpaged(&self.delete, values).await?;
        Ok(())
    }

    /// The oldest entries of a bucket that are due at `now`.
    pub async fn list(&self, bucket: i32, now: Timestamp) -> Result<Vec<Due>, CqlError> {
        let rows: Vec<(CqlTimestamp, Uuid)> =
            cql::rows(&self.session, &self.list, (bucket, to_cql(now), BATCH)).await?;
        Ok(rows
            .into_iter()
            .map(|(at, id)| Due {
                at: from_cql(at),
                id,
            })
            .collect())
    }
}
