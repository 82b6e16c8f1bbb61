//! Users, as identity.users tells of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::{from_cql, to_cql};
use crate::domain::recipient::{FormerAddress, Lookup, Recipient, WishedAddress};

// The version is the write time of the cells: whatever comes late or again, the newest version stays, without a read
// and without a lock.
const UPSERT: &str = "INSERT INTO recipients (user_id, version, name, email, locale, wish_id, wished_email, \
     former_emails) VALUES (?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
// Its write time is the time of day, which is above every version: no snapshot comes back behind it.
const DELETE: &str = "DELETE FROM recipients WHERE user_id = ?";
const FIND: &str = "SELECT user_id, version, name, email, locale, wish_id, wished_email, former_emails FROM recipients WHERE user_id = ?";
const MARK_ERASED: &str = "INSERT INTO erased_recipients (user_id, erased_at) VALUES (?, ?)";
const FIND_ERASED: &str = "SELECT erased_at FROM erased_recipients WHERE user_id = ?";

/// Addresses by when they ceased to be.
type FormerColumn<T> = BTreeMap<CqlTimestamp, T>;

#[derive(DeserializeRow)]
struct Row {
    user_id: Uuid,
    version: i64,
    name: String,
    email: String,
    locale: String,
    wish_id: Option<Uuid>,
    wished_email: Option<String>,
    former_emails: Option<FormerColumn<String>>,
}

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
        let wished = user.wished.as_ref();
        let former: FormerColumn<&str> = user
            .former
            .iter()
            .map(|former| (to_cql(former.until), former.email.as_str()))
            .collect();
        let values = (
            user.user_id,
            user.version,
            &user.name,
            &user.email,
            &user.locale,
            wished.map(|wished| wished.wish_id),
            wished.map(|wished| &wished.email),
            (!former.is_empty()).then_some(former),
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
        // No row comes back behind an erasure: only where there is none it matters why.
        let row = cql::first_row::<Row>(&self.session, &self.find, (user_id,)).await?;
        Ok(match row {
            Some(row) => Lookup::Known(row.into()),
            None if self.is_erased(user_id).await? => Lookup::Erased,
            None => Lookup::Unknown,
        })
    }
}

impl From<Row> for Recipient {
    fn from(row: Row) -> Self {
        let wished = row.wish_id.zip(row.wished_email);
        let former = row.former_emails.into_iter().flatten();
        Self {
            user_id: row.user_id,
            version: row.version,
            name: row.name,
            email: row.email,
            locale: row.locale,
            wished: wished.map(|(wish_id, email)| WishedAddress { wish_id, email }),
            former: former
                .map(|(until, email)| FormerAddress {
                    email,
                    until: from_cql(until),
                })
                .collect(),
        }
    }
}
