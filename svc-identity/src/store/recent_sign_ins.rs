//! From which addresses somebody signed in lately.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::seconds;

/// What is lately.
const KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How long a user who is erased stays without addresses: a sign-in that began before may write one later. More than the
/// longest request, which is 10 s, and the difference of two clocks; less than the 3 days ahead that ScyllaDB allows.
const ERASED_FOR: Duration = Duration::from_secs(60 * 60);

/// The table of addresses.
pub struct RecentSignIns {
    session: Arc<Session>,
    insert: PreparedStatement,
    find: PreparedStatement,
    of_user: PreparedStatement,
    erase_of: PreparedStatement,
}

impl RecentSignIns {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        const INSERT: &str =
            "INSERT INTO recent_sign_ins (user_id, client) VALUES (?, ?) USING TTL ?";
        const FIND: &str = "SELECT client FROM recent_sign_ins WHERE user_id = ? AND client = ?";
        const OF_USER: &str = "SELECT client FROM recent_sign_ins WHERE user_id = ? LIMIT ?";
        const ERASE_OF: &str = "DELETE FROM recent_sign_ins USING TIMESTAMP ? WHERE user_id = ?";
        Ok(Self {
            insert: cql::prepare(&session, INSERT).await?,
            find: cql::prepare(&session, FIND).await?,
            of_user: cql::prepare(&session, OF_USER).await?,
            erase_of: cql::prepare(&session, ERASE_OF).await?,
            session,
        })
    }

    /// Remembers it for 30 days more.
    pub async fn insert(&self, user_id: Uuid, client: IpAddr) -> Result<(), CqlError> {
        let values = (user_id, client.to_string(), seconds(KEPT_FOR));
        self.session.execute_unpaged(&self.insert, values).await?;
        Ok(())
    }

    /// Up to `limit` of a user's.
    pub async fn of_user(&self, user_id: Uuid, limit: usize) -> Result<Vec<String>, CqlError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let rows = cql::rows(&self.session, &self.of_user, (user_id, limit)).await?;
        Ok(rows.into_iter().map(|(client,)| client).collect())
    }

    /// Forgets all of a user's for good, those as well that are written within the next hour. Only for somebody who is no
    /// longer a user.
    pub async fn erase_of(&self, user_id: Uuid) -> Result<(), CqlError> {
        // The time of a write decides, and this one is later than any sign-in's.
        let until = Timestamp::now().saturating_add(ERASED_FOR);
        let values = (until.as_micros(), user_id);
        self.session.execute_unpaged(&self.erase_of, values).await?;
        Ok(())
    }

    /// Whether the user signed in from there in the last 30 days.
    pub async fn has(&self, user_id: Uuid, client: IpAddr) -> Result<bool, CqlError> {
        let values = (user_id, client.to_string());
        let row = cql::first_row::<(String,)>(&self.session, &self.find, values).await?;
        Ok(row.is_some())
    }
}
