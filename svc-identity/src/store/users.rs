//! Users' rows.

use std::sync::Arc;

use platform::cql::{self, CqlError};
use platform::ids::new_id;
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::user_row::{Change, ERASED, ERASING, NewRow, Row};
use super::{LWT_ATTEMPTS, attempt};
use crate::domain::account::{Account, State};
use crate::domain::user::User;

/// Reads for one page of the list at most: those who were erased are read and left out.
const MAX_READS: u32 = 5;

/// The table of users.
pub struct Users {
    session: Arc<Session>,
    find: PreparedStatement,
    find_newest: PreparedStatement,
    insert: PreparedStatement,
    update: PreparedStatement,
    renew_hash: PreparedStatement,
    begin_erasure: PreparedStatement,
    finish_erasure: PreparedStatement,
    use_up: PreparedStatement,
    list: PreparedStatement,
    list_after: PreparedStatement,
}

impl Users {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        const COLUMNS: &str = "user_id, version, operation_id, status, email, name, phone, locale, \
             roles, email_verified, password_hash, created_at, epoch, password_changed_at, \
             wish_id, wished_email, wished_until, proved_wish_id, proved_wish_refused, moving_to, \
             moving_from, former_emails";
        const INSERT: &str = "INSERT INTO users (user_id, version, operation_id, email, name, \
             phone, locale, roles, email_verified, password_hash, created_at, epoch) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
        const UPDATE: &str = "UPDATE users SET version = ?, operation_id = ?, email = ?, name = ?, \
             phone = ?, locale = ?, roles = ?, email_verified = ?, password_hash = ?, epoch = ?, \
             password_changed_at = ?, wish_id = ?, wished_email = ?, wished_until = ?, \
             proved_wish_id = ?, proved_wish_refused = ?, moving_to = ?, moving_from = ?, \
             former_emails = ? WHERE user_id = ? IF version = :version_before";
        const RENEW_HASH: &str =
            "UPDATE users SET password_hash = ? WHERE user_id = ? IF password_hash = ?";
        const BEGIN_ERASURE: &str = "UPDATE users SET version = ?, operation_id = ?, status = ?, \
             name = null, phone = null, locale = null, roles = null, email_verified = null, \
             password_hash = null, created_at = null, epoch = null, \
             password_changed_at = null, wish_id = null, wished_email = null, \
             wished_until = null, proved_wish_id = null, proved_wish_refused = null, moving_to = null, moving_from = null, former_emails = null \
             WHERE user_id = ? IF version = ?";
        const FINISH_ERASURE: &str =
            "UPDATE users SET email = null, status = ? WHERE user_id = ? IF status = ?";
        const USE_UP: &str = "INSERT INTO users (user_id, version, operation_id, status) \
             VALUES (?, 1, ?, ?) IF NOT EXISTS";
        let select = |rest: &str| format!("SELECT {COLUMNS} FROM users {rest}");
        let find = select("WHERE user_id = ?");
        let list_after = select("WHERE token(user_id) > token(?) LIMIT ?");
        Ok(Self {
            find: cql::prepare(&session, &find).await?,
            find_newest: cql::prepare_serial_read(&session, &find).await?,
            begin_erasure: cql::prepare_lwt(&session, BEGIN_ERASURE).await?,
            finish_erasure: cql::prepare_lwt(&session, FINISH_ERASURE).await?,
            use_up: cql::prepare_lwt(&session, USE_UP).await?,
            list: cql::prepare(&session, &select("LIMIT ?")).await?,
            list_after: cql::prepare(&session, &list_after).await?,
            insert: cql::prepare_lwt(&session, INSERT).await?,
            update: cql::prepare_lwt(&session, UPDATE).await?,
            renew_hash: cql::prepare_lwt(&session, RENEW_HASH).await?,
            session,
        })
    }

    /// The user, if there is one.
    pub async fn find(&self, id: Uuid) -> Result<Option<Account>, CqlError> {
        Ok(self.state(&self.find, id).await?.living())
    }

    /// The user after every change that was accepted before this call.
    pub async fn find_newest(&self, id: Uuid) -> Result<Option<Account>, CqlError> {
        Ok(self.find_state(id).await?.living())
    }

    /// What there is under the id, after every change that was accepted before this call.
    pub async fn find_state(&self, id: Uuid) -> Result<State, CqlError> {
        self.state(&self.find_newest, id).await
    }

    /// Up to `limit` users after `after`, in no order that means anything, and where the next page begins. A page may
    /// have fewer, or none, and still not be the last one.
    pub async fn list(
        &self,
        mut after: Option<Uuid>,
        limit: usize,
    ) -> Result<(Vec<User>, Option<Uuid>), CqlError> {
        let mut found = Vec::new();
        for _ in 0..MAX_READS {
            let rows = self.page(after, limit).await?;
            let is_last = rows.len() < limit;
            for row in rows {
                after = Some(row.user_id);
                found.extend(State::try_from(row)?.living().map(|account| account.user));
                if found.len() == limit {
                    return Ok((found, after));
                }
            }
            if is_last {
                return Ok((found, None));
            }
        }
        Ok((found, after))
    }

    /// Makes the user unless the id has one; whether it did. On an error it may or may not have.
    pub async fn insert(&self, account: &Account, operation_id: Uuid) -> Result<bool, CqlError> {
        let row = NewRow::new(account, operation_id);
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
    /// On an error it may or may not have. Another address must be claimed before.
    pub async fn update(&self, account: &Account, operation_id: Uuid) -> Result<bool, CqlError> {
        let change = Change::new(account, operation_id);
        let next = (account.user.id, account.user.version, operation_id);
        self.replace(&self.update, &change, next).await
    }

    /// Replaces the hash of a password by another one of the same password, unless it is another password meanwhile. It
    /// makes no version: nobody can see it. On an error it may or may not have happened.
    pub async fn renew_hash(&self, id: Uuid, old: &str, new: &str) -> Result<(), CqlError> {
        attempt(&self.session, &self.renew_hash, (new, id, old)).await?;
        Ok(())
    }

    /// Takes the person out of the row of `user`, but for the address; whether it did, as for an update.
    pub async fn begin_erasure(&self, user: &User, operation_id: Uuid) -> Result<bool, CqlError> {
        let version = user.version + 1;
        let values = (version, operation_id, ERASING, user.id, user.version);
        let next = (user.id, version, operation_id);
        self.replace(&self.begin_erasure, &values, next).await
    }

    /// Takes the address out as well. On an error it may or may not have; again is the same.
    pub async fn finish_erasure(&self, id: Uuid) -> Result<(), CqlError> {
        attempt(&self.session, &self.finish_erasure, (ERASED, id, ERASING)).await?;
        Ok(())
    }

    /// Makes the id that of nobody for ever, as if somebody had had it and was erased, unless it is somebody's. On an error it
    /// may or may not be; again is the same.
    pub async fn use_up(&self, id: Uuid) -> Result<(), CqlError> {
        attempt(&self.session, &self.use_up, (id, new_id(), ERASED)).await?;
        Ok(())
    }

    /// Runs `statement`, which makes `version` of the row out of the one before; whether it did.
    async fn replace(
        &self,
        statement: &PreparedStatement,
        values: &(impl SerializeRow + Sync),
        (id, version, operation_id): (Uuid, i64, Uuid),
    ) -> Result<bool, CqlError> {
        let mut failure = None;
        for _ in 0..LWT_ATTEMPTS {
            match attempt(&self.session, statement, values).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => failure = Some(error),
            }
            match self.read(&self.find_newest, id).await? {
                None => return Ok(false),
                Some(now) if now.operation_id == operation_id => return Ok(true),
                Some(now) if now.version == version - 1 => {}
                Some(now) if now.version == version => return Ok(false),
                // Two changes or more happened since. Ours may have been the first of them, unless it was refused each time.
                Some(_) => return failure.map_or(Ok(false), Err),
            }
        }
        let neither = || CqlError::answer("a change that is neither made nor refused");
        Err(failure.unwrap_or_else(neither))
    }

    async fn state(&self, statement: &PreparedStatement, id: Uuid) -> Result<State, CqlError> {
        match self.read(statement, id).await? {
            Some(row) => row.try_into(),
            None => Ok(State::Absent),
        }
    }

    async fn page(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<Row>, CqlError> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let session = &self.session;
        match after {
            Some(after) => cql::rows(session, &self.list_after, (after, limit)).await,
            None => cql::rows(session, &self.list, (limit,)).await,
        }
    }

    async fn read(&self, statement: &PreparedStatement, id: Uuid) -> Result<Option<Row>, CqlError> {
        cql::first_row(&self.session, statement, (id,)).await
    }
}
