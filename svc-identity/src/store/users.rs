//! Users' rows.

use std::sync::Arc;

use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::user_row::{Change, Row};
use super::{LWT_ATTEMPTS, attempt};
use crate::domain::account::Account;

/// The table of users.
pub struct Users {
    session: Arc<Session>,
    find: PreparedStatement,
    find_newest: PreparedStatement,
    insert: PreparedStatement,
    update: PreparedStatement,
}

impl Users {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        const FIND: &str = "SELECT user_id, version, operation_id, email, name, phone, locale, \
             roles, email_verified, password_hash, created_at, epoch FROM users WHERE user_id = ?";
        const INSERT: &str = "INSERT INTO users (user_id, version, operation_id, email, name, \
             phone, locale, roles, email_verified, password_hash, created_at, epoch) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
        const UPDATE: &str = "UPDATE users SET version = ?, operation_id = ?, name = ?, phone = ?, \
             locale = ?, roles = ?, email_verified = ?, password_hash = ?, epoch = ? \
             WHERE user_id = ? IF version = :version_before";
        Ok(Self {
            find: cql::prepare(&session, FIND).await?,
            find_newest: cql::prepare_serial_read(&session, FIND).await?,
            insert: cql::prepare_lwt(&session, INSERT).await?,
            update: cql::prepare_lwt(&session, UPDATE).await?,
            session,
        })
    }

    /// The user, if there is one.
    pub async fn find(&self, id: Uuid) -> Result<Option<Account>, CqlError> {
        let row = self.read(&self.find, id).await?;
        row.map(Account::try_from).transpose()
    }

    /// The user after every change that was accepted before this call.
    pub async fn find_newest(&self, id: Uuid) -> Result<Option<Account>, CqlError> {
        let row = self.read(&self.find_newest, id).await?;
        row.map(Account::try_from).transpose()
    }

    /// Makes the user unless the id has one; whether it did. On an error it may or may not have.
    pub async fn insert(&self, account: &Account, operation_id: Uuid) -> Result<bool, CqlError> {
        let row = Row::new(account, operation_id);
        let mut failure = CqlError::answer("a user that is neither made nor there");
        for _ in 0..LWT_ATTEMPTS {
            match attempt(&self.session, &self.insert, &row).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => failure = error,
            }
            if let Some(found) = self.read(&self.find_newest, account.user.id).await? {
                return Ok(found.operation_id == operation_id);
            }
        }
        Err(failure)
    }

    /// Replaces the version before `account`'s by `account`; whether it did: not, when that is no longer the version.
    /// On an error it may or may not have. The address stays.
    pub async fn update(&self, account: &Account, operation_id: Uuid) -> Result<bool, CqlError> {
        let change = Change::new(account, operation_id);
        let (id, version) = (account.user.id, account.user.version);
        let mut failure = CqlError::answer("a change that is neither made nor refused");
        for _ in 0..LWT_ATTEMPTS {
            match attempt(&self.session, &self.update, &change).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => failure = error,
            }
            match self.read(&self.find_newest, id).await? {
                None => return Ok(false),
                Some(now) if now.operation_id == operation_id => return Ok(true),
                Some(now) if now.version == version - 1 => {}
                Some(now) if now.version == version => return Ok(false),
                // Two changes or more happened since, and ours may have been the first of them.
                Some(_) => return Err(failure),
            }
        }
        Err(failure)
    }

    async fn read(
        &self,
        statement: &PreparedStatement,
        id: Uuid,
    ) -> Result<Option<Row>, CqlError> {
        self.session
            .execute_unpaged(statement, (id,))
            .await?
            .into_rows_result()
            .map_err(CqlError::answer)?
            .maybe_first_row::<Row>()
            .map_err(CqlError::answer)
    }
}
