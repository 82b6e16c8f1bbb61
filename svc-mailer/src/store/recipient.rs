//! Users, as identity.users tells of them.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::to_cql;
use crate::domain::recipient::{Lookup, Recipient};

// The version is the write time of the cells: whatever comes late or again, the newest version stays, without a read
// and without a lock.
const UPSERT: &str = "INSERT INTO recipients (user_id, version, name, email, locale) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
// Its write time is the time of day, which is above every version: no snapshot comes back behind it.
const DELETE: &str = "DELETE FROM recipients WHERE user_id = ?";
const FIND: &str = "SELECT user_id, version, name, email, locale FROM recipients WHERE user_id = ?";
const MARK_ERASED: &str = "INSERT INTO erased_recipients (user_id, erased_at) VALUES (?, ?)";
const FIND_ERASED: &str = "SELECT erased_at FROM erased_recipients WHERE user_id = ?";

/// The tables `recipients` and `erased_recipients`.
pub struct Recipients {
    session: Arc<Session>,
    upsert: PreparedStatement,
    delete: PreparedStatement,
    find: PreparedStatement,
    mark_erased: PreparedStatement,
    find_erased: PreparedStatement,
}

impl Recipients {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Ok(Self {
            upsert: cql::prepare(&session, UPSERT).await?,
            delete: cql::prepare(&session, DELETE).await?,
            find: cql::prepare(&session, FIND).await?,
            mark_erased: cql::prepare(&session, MARK_ERASED).await?,
            find_erased: cql::prepare(&session, FIND_ERASED).await?,
            session,
        })
    }

    /// Keeps the user, unless a newer version is there.
    pub async fn put(&self, user: &Recipient) -> Result<(), CqlError> {
        let values = (
            user.user_id,
            user.version,
            &user.name,
            &user.email,
            &user.locale,
            user.version,
        );
        self.session.execute_unpaged(&self.upsert, values).await?;
        Ok(())
    }

    /// Forgets the user, and remembers that it was asked for.
    pub async fn erase(&self, user_id: Uuid, at: Timestamp) -> Result<(), CqlError> {
        self.session
            .execute_unpaged(&self.mark_erased, (user_id, to_cql(at)))
            .await?;
        self.session
            .execute_unpaged(&self.delete, (user_id,))
            .await?;
        Ok(())
    }

    /// Whether the user was erased.
    pub async fn is_erased(&self, user_id: Uuid) -> Result<bool, CqlError> {
        let found: Option<(CqlTimestamp,)> =
            cql::first_row(&self.session, &self.find_erased, (user_id,)).await?;
        Ok(found.is_some())
    }

    /// What is known about the user.
    pub async fn find(&self, user_id: Uuid) -> Result<Lookup, CqlError> {
        if self.is_erased(user_id).await? {
            return Ok(Lookup::Erased);
        }
        let row: Option<(Uuid, i64, String, String, String)> =
            cql::first_row(&self.session, &self.find, (user_id,)).await?;
        Ok(row.map_or(
            Lookup::Unknown,
            |(user_id, version, name, email, locale)| {
                Lookup::Known(Recipient {
                    user_id,
                    version,
                    name,
                    email,
                    locale,
                })
            },
        ))
    }
}
