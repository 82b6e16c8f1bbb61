//! Where in the audit trail a user is.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::{from_cql, seconds, to_cql};
use crate::domain::audit::Place;

/// Seconds of a period.
const PERIOD_SECS: i64 = 30 * 24 * 60 * 60;

/// The table of places.
pub struct AuditByUser {
    session: Arc<Session>,
    kept_for: Duration,
    insert: PreparedStatement,
    of_period: PreparedStatement,
}

impl AuditByUser {
    /// Prepares the statements. Places end after `kept_for`, as the entries do.
    pub async fn new(session: Arc<Session>, kept_for: Duration) -> Result<Self, CqlError> {
        const INSERT: &str = "INSERT INTO audit_by_user (user_id, period, at, entry_id) \
             VALUES (?, ?, ?, ?) USING TTL ?";
        const OF_PERIOD: &str = "SELECT at, entry_id FROM audit_by_user \
             WHERE user_id = ? AND period = ? LIMIT ?";
        Ok(Self {
            insert: cql::prepare(&session, INSERT).await?,
            of_period: cql::prepare(&session, OF_PERIOD).await?,
            session,
            kept_for,
        })
    }

    /// Says that each of `users` is in the entry at `place`.
    pub async fn insert(
        &self,
        place: Place,
        users: impl IntoIterator<Item = Uuid>,
    ) -> Result<(), CqlError> {
        let inserted = users.into_iter().map(|user_id| {
            let ttl = seconds(self.kept_for).max(1);
            let values = (user_id, period(place.at), to_cql(place.at), place.id, ttl);
            self.session.execute_unpaged(&self.insert, values)
        });
        try_join_all(inserted).await?;
        Ok(())
    }

    /// Up to `limit` places of a user, newest first.
    pub async fn of_user(
        &self,
        user_id: Uuid,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<Place>, CqlError> {
        let oldest = period(now.saturating_sub(self.kept_for));
        let mut found = Vec::new();
        // On a clock that is ahead the next period may have begun.
        for period in (oldest..=period(now) + 1).rev() {
            let rows = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            if rows == 0 {
                break;
            }
            let values = (user_id, period, rows);
            let rows = cql::rows(&self.session, &self.of_period, values).await?;
            found.extend(rows.into_iter().map(|(at, id)| Place {
                at: from_cql(at),
                id,
            }));
        }
        Ok(found)
    }
}

const fn period(at: Timestamp) -> i64 {
    at.as_seconds().div_euclid(PERIOD_SECS)
}
