//! CQL: its texts, and rows to values and back.

pub mod audit_by_user;
pub mod audit_entries;
pub mod case_places;
mod case_row;
pub mod cases;
pub mod email_claims;
pub mod mail_links;
pub mod recent_sign_ins;
pub mod sessions;
pub mod signing_keys;
mod user_row;
pub mod users;

use std::time::Duration;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

/// How often a lightweight transaction of unknown end is tried before the caller hears of it. Many writers of one row
/// make each other time out.
const LWT_ATTEMPTS: u32 = 3;

/// Asks the database for anything.
pub async fn ping(session: &Session) -> Result<(), CqlError> {
    session
        .query_unpaged("SELECT key FROM system.local", ())
        .await?;
    Ok(())
}

/// Runs a lightweight transaction once; whether it was applied. On an error it may or may not have been.
async fn attempt(
    session: &Session,
    statement: &PreparedStatement,
    values: impl SerializeRow,
) -> Result<bool, CqlError> {
    cql::applied(session.execute_unpaged(statement, values).await?)
}

/// A TTL. One of zero means for ever.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

fn to_cql(at: Timestamp) -> CqlTimestamp {
    CqlTimestamp(at.as_millis())
}

fn from_cql(at: CqlTimestamp) -> Timestamp {
    Timestamp::from_millis(at.0)
}
