//! The audit trail.

use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimestamp, MaybeUnset};
use uuid::Uuid;

use super::{from_cql, seconds, to_cql};
use crate::domain::audit::{Deed, Entry, Outcome, Place};

/// Partitions of a day.
const BUCKETS: i32 = 8;
/// Days that one page looks at, at most: on most of them nothing may have happened.
const MAX_DAYS: i64 = 10;

/// The table of entries.
pub struct AuditEntries {
    session: Arc<Session>,
    kept_for: Duration,
    insert: PreparedStatement,
    end: PreparedStatement,
    page: PreparedStatement,
    find: PreparedStatement,
}

type Row = (
    CqlTimestamp,
    Uuid,
    String,
    Option<Uuid>,
    Option<Uuid>,
    Option<String>,
    Option<String>,
    Option<String>,
);

impl AuditEntries {
    /// Prepares the statements. Entries end after `kept_for`.
    pub async fn new(session: Arc<Session>, kept_for: Duration) -> Result<Self, CqlError> {
        const INSERT: &str = "INSERT INTO audit_entries (day, bucket, at, entry_id, action, \
             actor_id, user_id, client, request_id, outcome) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TTL ?";
        const END: &str = "UPDATE audit_entries USING TTL ? SET outcome = ?, user_id = ? \
             WHERE day = ? AND bucket = ? AND at = ? AND entry_id = ?";
        const PAGE: &str = "SELECT at, entry_id, action, actor_id, user_id, client, request_id, \
             outcome FROM audit_entries WHERE day = ? AND bucket = ? AND (at, entry_id) < (?, ?) LIMIT ?";
        const FIND: &str = "SELECT at, entry_id, action, actor_id, user_id, client, request_id, \
             outcome FROM audit_entries WHERE day = ? AND bucket = ? AND at = ? AND entry_id = ?";
        Ok(Self {
            insert: cql::prepare(&session, INSERT).await?,
            end: cql::prepare(&session, END).await?,
            page: cql::prepare(&session, PAGE).await?,
            find: cql::prepare(&session, FIND).await?,
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
            entry.deed.action.as_str(),
            // What is not there is not written: a null would compete with what the end writes there.
            MaybeUnset::from_option(entry.deed.actor_id),
            MaybeUnset::from_option(entry.deed.user_id),
            MaybeUnset::from_option(entry.deed.client.map(|client| client.to_string())),
            MaybeUnset::from_option(entry.request_id.as_deref()),
            MaybeUnset::from_option(entry.outcome.map(Outcome::as_str)),
            seconds(self.kept_for).max(1),
        );
        self.session.execute_unpaged(&self.insert, values).await?;
        Ok(())
    }

    /// Says of an entry how it ended and, where that was not known, whom it is about; the same again is the same.
    pub async fn end(
        &self,
        entry: &Entry,
        user_id: Option<Uuid>,
        outcome: Outcome,
    ) -> Result<(), CqlError> {
        let values = (
            seconds(self.kept_for).max(1),
            outcome.as_str(),
            MaybeUnset::from_option(user_id),
            entry.place().day(),
            bucket(entry.id),
            to_cql(entry.at),
            entry.id,
        );
        self.session.execute_unpaged(&self.end, values).await?;
        Ok(())
    }

    /// The entry at `place`, unless it has ended.
    pub async fn find(&self, place: Place) -> Result<Option<Entry<String>>, CqlError> {
        let values = (place.day(), bucket(place.id), to_cql(place.at), place.id);
        Ok(self.read(&self.find, values).await?.pop())
    }

    /// Up to `limit` entries before `before`, newest first, and where the next page begins. A page may have fewer, or
    /// none, and still not be the last one.
    pub async fn page(
        &self,
        mut before: Place,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<Entry<String>>, Option<Place>), CqlError> {
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
    async fn of_day(&self, before: Place, limit: usize) -> Result<Vec<Entry<String>>, CqlError> {
        let of_buckets = (0..BUCKETS).map(|bucket| self.of_bucket(before, bucket, limit));
        let mut found: Vec<Entry<String>> = try_join_all(of_buckets)
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
    ) -> Result<Vec<Entry<String>>, CqlError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (before.day(), bucket, to_cql(before.at), before.id, limit);
        self.read(&self.page, values).await
    }

    async fn read(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<Entry<String>>, CqlError> {
        let rows = cql::rows::<Row>(&self.session, statement, values).await?;
        Ok(rows.into_iter().map(entry).collect())
    }
}

fn entry((at, id, action, actor_id, user_id, client, request_id, outcome): Row) -> Entry<String> {
    Entry {
        id,
        at: from_cql(at),
        deed: Deed {
            action,
            actor_id,
            user_id,
            client: client.and_then(|client| client.parse().ok()),
        },
        outcome: Some(Outcome::parse(outcome.as_deref())),
        request_id,
    }
}

fn bucket(id: Uuid) -> i32 {
    let spread = id.as_u128() % u128::from(BUCKETS.unsigned_abs());
    i32::try_from(spread).unwrap_or_default()
}
