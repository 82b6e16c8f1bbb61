//! Where a buyer's orders and tickets are found: tables of places, newest first.
//!
//! On an on-sale night nearly every order has another buyer. With a partition per buyer each order would be a write
//! of its own, and these would cost the database more than all others together. So the buyers of a year share some
//! partitions, ordered by buyer and then by time (docs/adr/0005). A list reads one of them per year.

use std::time::Duration;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

/// Partitions of a year. A place has about 60 bytes: at 100 million orders a year a partition has 100 MB, which
/// both databases still handle well.
const BUCKETS: u8 = 64;
/// No order is older than this system.
const FIRST_YEAR: i32 = 2026;
/// No place is later than this from now: clocks differ a little.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60 * 60);

/// What Cassandra takes a place for when it weighs a batch, a little more than it has seen.
pub(super) const BYTES: usize = 110;

/// Where a page of a buyer's orders or tickets goes on: time in µs and id of its last entry.
pub type Position = (i64, Uuid);

/// Whether a place can have this position. One far in the future would make a list go through all years until then.
pub fn is_possible((at, _): &Position) -> bool {
    Timestamp::from_micros(*at) <= Timestamp::now() + CLOCK_TOLERANCE
}

/// The partition of a buyer's places of one time: year and bucket.
pub(super) fn partition_of(user_id: Uuid, at: Timestamp) -> (i32, i8) {
    // The last bits are random, or of a hash, in every version of UUID.
    let [.., last] = user_id.into_bytes();
    (at.year().max(FIRST_YEAR), (last % BUCKETS).cast_signed())
}

/// Reads one table of places.
pub(super) struct Places {
    newest: PreparedStatement,
    after: PreparedStatement,
}

impl Places {
    /// Of `table`, whose rows are ordered by `at` and `id` and have `columns`.
    pub(super) async fn new(
        session: &Session,
        table: &str,
        [at, id]: [&str; 2],
        columns: &str,
    ) -> Result<Self, CqlError> {
        let select =
            format!("SELECT {columns} FROM {table} WHERE year = ? AND bucket = ? AND user_id = ?");
        Ok(Self {
            newest: cql::prepare(session, &format!("{select} LIMIT ?")).await?,
            after: cql::prepare(
                session,
                &format!("{select} AND ({at}, {id}) < (?, ?) LIMIT ?"),
            )
            .await?,
        })
    }

    /// A buyer's places, newest first.
    pub(super) async fn list<R>(
        &self,
        session: &Session,
        user_id: Uuid,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<R>, CqlError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm>,
    {
        let newest = match after {
            Some((at, _)) => Timestamp::from_micros(at),
            None => Timestamp::now() + CLOCK_TOLERANCE,
        };
        let (newest_year, bucket) = partition_of(user_id, newest);
        let mut found = Vec::new();
        for year in (FIRST_YEAR..=newest_year).rev() {
            if found.len() >= limit {
                break;
            }
            let wanted = i32::try_from(limit - found.len()).unwrap_or(i32::MAX);
            found.extend(match after {
                None => {
                    let values = (year, bucket, user_id, wanted);
                    cql::rows::<R>(session, &self.newest, values).await?
                }
                Some((at, id)) => {
                    let values = (year, bucket, user_id, at, id, wanted);
                    cql::rows::<R>(session, &self.after, values).await?
                }
            });
        }
        Ok(found)
    }
}
