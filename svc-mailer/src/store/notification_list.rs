//! Which messages belong to an event, a recipient or a day, newest first. Those about an order need no list: their ids
//! follow from it.

use std::sync::Arc;

use futures::future::try_join_all;
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::{bucket, from_cql, to_cql};
use crate::domain::notification::Notification;

/// Partitions of a list that grows with an audience: a partition stays below 100,000 rows up to 800,000 messages of
/// one event, or of one day.
const BUCKETS: i32 = 8;

const INSERT: &str = "INSERT INTO notification_lists (list, bucket, created_at, notification_id) VALUES (?, ?, ?, ?)";
const DELETE: &str = "DELETE FROM notification_lists WHERE list = ? AND bucket = ? AND created_at = ? AND notification_id = ?";
const PAGE: &str = "SELECT created_at, notification_id FROM notification_lists WHERE list = ? AND bucket = ? \
    AND (created_at, notification_id) < (?, ?) LIMIT ?";

/// One list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    /// About an event.
    Event(Uuid),
    /// To a user.
    User(Uuid),
    /// To an address.
    Address(String),
    /// Of the day, in UTC, that is so many days after 1970-01-01.
    Day(i64),
}

const DAY_SECS: i64 = 24 * 60 * 60;

impl List {
    /// The list of the day of `at`.
    pub const fn day_of(at: Timestamp) -> Self {
        Self::Day(Self::day_number(at))
    }

    /// The day of `at`.
    pub const fn day_number(at: Timestamp) -> i64 {
        at.as_seconds().div_euclid(DAY_SECS)
    }

    /// Those that the message belongs on.
    fn all_of(message: &Notification) -> impl Iterator<Item = Self> {
        let content = message.content.as_ref();
        let lists = [
            Some(Self::User(message.cause.user_id())),
            Some(Self::day_of(message.created_at)),
            message.cause.event_id().map(Self::Event),
            content.map(|content| Self::Address(content.recipient.clone())),
        ];
        lists.into_iter().flatten()
    }

    fn key(&self) -> String {
        match self {
            Self::Event(id) => format!("event:{id}"),
            Self::User(id) => format!("recipient:{id}"),
            // People type their address in whatever case.
            Self::Address(address) => format!("recipient:{}", address.to_lowercase()),
            Self::Day(day) => format!("day:{day}"),
        }
    }

    const fn buckets(&self) -> i32 {
        match self {
            Self::User(_) | Self::Address(_) => 1,
            Self::Event(_) | Self::Day(_) => BUCKETS,
        }
    }
}

/// A place in a list. Later places come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// When the message was first owed.
    pub at: Timestamp,
    /// The message.
    pub id: Uuid,
}

impl Entry {
    /// Before the first place of every list.
    pub const TOP: Self = Self {
        at: Timestamp::MAX,
        id: Uuid::max(),
    };

    /// The place of a message, the same in every list.
    pub fn of(message: &Notification) -> Self {
        Self {
            at: message.created_at,
            id: message.id,
        }
    }

    /// Behind everything of `day` and before everything older.
    pub const fn below_day(day: i64) -> Self {
        Self {
            at: Timestamp::from_seconds(day * DAY_SECS),
            id: Uuid::nil(),
        }
    }

    /// Whether it comes behind `other` in a list.
    pub(super) fn is_behind(&self, other: &Self) -> bool {
        self.sort_key() < other.sort_key()
    }

    /// As they stand in a list: the newest first.
    pub(super) fn sort(entries: &mut [Self]) {
        entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.sort_key()));
    }

    /// Sorts as the database does, which compares the version of a UUID before its bytes.
    fn sort_key(&self) -> (i64, usize, Uuid) {
        (self.at.as_millis(), self.id.get_version_num(), self.id)
    }
}

/// The table `notification_lists`.
pub struct NotificationLists {
    session: Arc<Session>,
    insert: PreparedStatement,
    delete: PreparedStatement,
    page: PreparedStatement,
}

impl NotificationLists {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Ok(Self {
            insert: cql::prepare(&session, INSERT).await?,
            delete: cql::prepare(&session, DELETE).await?,
            page: cql::prepare(&session, PAGE).await?,
            session,
        })
    }

    /// Puts the message on all its lists, with one request: where there are as many copies as nodes, each partition is at
    /// each of them, and where there are more nodes, the one that is asked passes it on. Again is the same.
    pub async fn put(&self, message: &Notification) -> Result<(), CqlError> {
        let entry = Entry::of(message);
        let mut batch = Batch::new(BatchType::Unlogged);
        let mut values = Vec::new();
        for list in List::all_of(message) {
            batch.append_statement(self.insert.clone());
            values.push(place(&list, entry));
        }
        batch.set_is_idempotent(true);
        self.session.batch(&batch, values).await?;
        Ok(())
    }

    /// Takes the message off the list.
    pub async fn delete(&self, list: &List, entry: Entry) -> Result<(), CqlError> {
        self.session
            .execute_unpaged(&self.delete, place(list, entry))
            .await?;
        Ok(())
    }

    /// The first `limit` messages behind `after`.
    pub async fn page(
        &self,
        list: &List,
        after: Entry,
        limit: usize,
    ) -> Result<Vec<Entry>, CqlError> {
        let rows = i32::try_from(limit).unwrap_or(i32::MAX);
        let key = list.key();
        let buckets = (0..list.buckets()).map(|bucket| {
            let values = (key.as_str(), bucket, to_cql(after.at), after.id, rows);
            cql::rows::<(CqlTimestamp, Uuid)>(&self.session, &self.page, values)
        });
        let mut entries: Vec<Entry> = try_join_all(buckets)
            .await?
            .into_iter()
            .flatten()
            .map(|(at, id)| Entry {
                at: from_cql(at),
                id,
            })
            .collect();
        Entry::sort(&mut entries);
        entries.truncate(limit);
        Ok(entries)
    }
}

/// The row of an entry.
fn place(list: &List, entry: Entry) -> (String, i32, CqlTimestamp, Uuid) {
    let bucket = bucket(entry.id, list.buckets());
    (list.key(), bucket, to_cql(entry.at), entry.id)
}
