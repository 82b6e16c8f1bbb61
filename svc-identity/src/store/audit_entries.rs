//! The audit trail.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::{from_cql, seconds, to_cql};
use crate::domain::audit::{Entry, Place};

/// Partitions of a day.
const BUCKETS: i32 = 8;
/// Days that one page looks at, at most: on most of them nothing may have happened.
const MAX_DAYS: i64 = 10;

/// The table of entries.
pub struct AuditEntries {
    session: Arc<Session>,
    kept_for: Duration,
    insert: PreparedStatement,
    page: PreparedStatement,
}

type Row = (
    CqlTimestamp,
    Uuid,
    String,
    Option<Uuid>,
    Option<Uuid>,
    Option<String>,
    Option<String>,
);

impl AuditEntries {
    /// Prepares the statements. Entries end after `kept_for`.
    pub async fn new(session: Arc<Session>, kept_for: Duration) -> Result<Self, CqlError> {
        const INSERT: &str = "INSERT INTO audit_entries (day, bucket, at, entry_id, action, \
             actor_id, user_id, client, request_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";
        const PAGE: &str = "SELECT at, entry_id, action, actor_id, user_id, client, request_id \
             FROM audit_entries WHERE day = ? AND bucket = ? AND (at, entry_id) < (?, ?) LIMIT ?";
        Ok(Self {
            insert: cql::prepare(&session, INSERT).await?,
            page: cql::prepare(&session, PAGE).await?,
            session,
            kept_for,
        })
    }

    /// Adds an entry; the same again is the same.
    pub async fn insert(&self, entry: &Entry) -> Result<(), CqlError> {
        let values = (
            entry.place().day(),
            bucket(entry.id),
            to_cql(entry.at),
            entry.id,
            &entry.action,
            entry.actor_id,
            entry.user_id,
            entry.client.map(|client| client.to_string()),
            entry.request_id.as_deref(),
            seconds(self.kept_for).max(1),
        );
        self.session.execute_unpaged(&self.insert, values).await?;
        Ok(())
    }

    /// Up to `limit` entries before `before`, newest first, and where the next page begins. A page may have fewer, or
    /// none, and still not be the last one.
    pub async fn page(
        &self,
        mut before: Place,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<Entry>, Option<Place>), CqlError> {
        let oldest = Place {
            at: now.saturating_sub(self.kept_for),
            id: Uuid::nil(),
        };
        let mut found = Vec::new();
        for _ in 0..MAX_DAYS {
            found.extend(self.of_day(before, limit - found.len()).await?);
            if found.len() == limit {
                let last = found.last().map(Entry::place);
                return Ok((found, last));
            }
            // The start of a day is after all of the day before, which is looked at next.
            let start = Place::start_of(before.day());
            if start <= oldest {
                return Ok((found, None));
            }
            before = Place {
                at: Timestamp::from_millis(start.at.as_millis() - 1),
                id: Uuid::max(),
            };
        }
        Ok((found, Some(before)))
    }

    /// Up to `limit` entries of the day of `before`, newest first.
    async fn of_day(&self, before: Place, limit: usize) -> Result<Vec<Entry>, CqlError> {
        let of_buckets = (0..BUCKETS).map(|bucket| self.of_bucket(before, bucket, limit));
        let mut found: Vec<Entry> = try_join_all(of_buckets)
            .await?
            .into_iter()
            .flatten()
            .collect();
        found.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.place()));
        found.truncate(limit);
        Ok(found)
    }

    async fn of_bucket(
        &self,
        before: Place,
        bucket: i32,
        limit: usize,
    ) -> Result<Vec<Entry>, CqlError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (before.day(), bucket, to_cql(before.at), before.id, limit);
        let rows = self
            .session
            .execute_unpaged(&self.page, values)
            .await?
            .into_rows_result()
            .map_err(CqlError::answer)?;
        let mut found = Vec::new();
        for row in rows.rows::<Row>().map_err(CqlError::answer)? {
            let (at, id, action, actor_id, user_id, client, request_id) =
                row.map_err(CqlError::answer)?;
            found.push(Entry {
                id,
                at: from_cql(at),
                action,
                actor_id,
                user_id,
                client: client.and_then(|client| client.parse().ok()),
                request_id,
            });
        }
        Ok(found)
    }
}

fn bucket(id: Uuid) -> i32 {
    let spread = id.as_u128() % u128::from(BUCKETS.unsigned_abs());
    i32::try_from(spread).unwrap_or_default()
}
