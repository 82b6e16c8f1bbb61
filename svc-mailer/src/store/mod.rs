//! CQL and what its rows mean. Notifications are owned rows, written by lightweight transactions alone; everything
//! else are plain upserts that a repeat does not change.

pub mod due;
pub mod event;
pub mod notification;
pub mod notification_list;
mod notification_row;
pub mod notification_search;
pub mod recipient;

use platform::clock::Timestamp;
use platform::cql::CqlError;
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

fn to_cql(at: Timestamp) -> CqlTimestamp {
    CqlTimestamp(at.as_millis())
}

fn from_cql(at: CqlTimestamp) -> Timestamp {
    Timestamp::from_millis(at.0)
}

/// Spreads ids over `buckets` partitions.
fn bucket(id: Uuid, buckets: i32) -> i32 {
    let spread = id.as_u128() % u128::from(buckets.unsigned_abs());
    i32::try_from(spread).unwrap_or_default()
}

/// At most one row.
async fn one<R>(
    session: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Option<R>, CqlError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    session
        .execute_unpaged(statement, values)
        .await?
        .into_rows_result()
        .map_err(CqlError::answer)?
        .maybe_first_row::<R>()
        .map_err(CqlError::answer)
}

/// All rows of a statement that has a LIMIT.
async fn all<R>(
    session: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<Vec<R>, CqlError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    session
        .execute_unpaged(statement, values)
        .await?
        .into_rows_result()
        .map_err(CqlError::answer)?
        .rows::<R>()
        .map_err(CqlError::answer)?
        .map(|row| row.map_err(CqlError::answer))
        .collect()
}
