//! Users' rows.

use std::sync::Arc;

use platform::auth::Role;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use scylla::{DeserializeRow, SerializeRow};
use uuid::Uuid;

use super::{LWT_ATTEMPTS, attempt, from_cql, to_cql};
use crate::domain::NotAllowed;
use crate::domain::email::Email;
use crate::domain::locale::Locale;
use crate::domain::name::Name;
use crate::domain::phone::Phone;
use crate::domain::user::User;

/// A user with what stands beside it in the row.
pub struct Stored {
    /// The user.
    pub user: User,
    /// PHC string.
    pub password_hash: String,
    /// The operation that made this version.
    operation_id: Uuid,
}

/// The table of users.
pub struct Users {
    session: Arc<Session>,
    find: PreparedStatement,
    find_newest: PreparedStatement,
    insert: PreparedStatement,
    update: PreparedStatement,
}

#[derive(DeserializeRow, SerializeRow)]
struct Row {
    user_id: Uuid,
    version: i64,
    operation_id: Uuid,
    email: String,
    name: String,
    phone: Option<String>,
    locale: String,
    roles: Vec<String>,
    email_verified: bool,
    password_hash: String,
    created_at: CqlTimestamp,
}

#[derive(SerializeRow)]
struct Change<'a> {
    version: i64,
    operation_id: Uuid,
    name: &'a str,
    phone: Option<&'a str>,
    locale: &'a str,
    roles: Vec<String>,
    email_verified: bool,
    user_id: Uuid,
    version_before: i64,
}

impl Users {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        const FIND: &str = "SELECT user_id, version, operation_id, email, name, phone, locale, \
             roles, email_verified, password_hash, created_at FROM users WHERE user_id = ?";
        const INSERT: &str = "INSERT INTO users (user_id, version, operation_id, email, name, \
             phone, locale, roles, email_verified, password_hash, created_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
        const UPDATE: &str = "UPDATE users SET version = ?, operation_id = ?, name = ?, phone = ?, \
             locale = ?, roles = ?, email_verified = ? \
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
    pub async fn find(&self, id: Uuid) -> Result<Option<Stored>, CqlError> {
        self.read(&self.find, id).await
    }

    /// The user after every change that was accepted before this call.
    pub async fn find_newest(&self, id: Uuid) -> Result<Option<Stored>, CqlError> {
        self.read(&self.find_newest, id).await
    }

    /// Makes the user unless the id has one; whether it did. On an error it may or may not have.
    pub async fn insert(
        &self,
        user: &User,
        password_hash: &str,
        operation_id: Uuid,
    ) -> Result<bool, CqlError> {
        let row = Row::new(user, password_hash, operation_id);
        let mut failure = CqlError::answer("a user that is neither made nor there");
        for _ in 0..LWT_ATTEMPTS {
            match attempt(&self.session, &self.insert, &row).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => failure = error,
            }
            if let Some(stored) = self.find_newest(user.id).await? {
                return Ok(stored.operation_id == operation_id);
            }
        }
        Err(failure)
    }

    /// Replaces version `user.version - 1` by `user`; whether it did: not, when that is no longer the version. On an
    /// error it may or may not have. The address and the password stay.
    pub async fn update(&self, user: &User, operation_id: Uuid) -> Result<bool, CqlError> {
        let version_before = user.version - 1;
        let change = Change {
            version: user.version,
            operation_id,
            name: user.name.as_str(),
            phone: user.phone.as_ref().map(Phone::as_str),
            locale: user.locale.as_str(),
            roles: role_names(user),
            email_verified: user.email_verified,
            user_id: user.id,
            version_before,
        };
        let mut failure = CqlError::answer("a change that is neither made nor refused");
        for _ in 0..LWT_ATTEMPTS {
            match attempt(&self.session, &self.update, &change).await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) => failure = error,
            }
            match self.find_newest(user.id).await? {
                None => return Ok(false),
                Some(now) if now.operation_id == operation_id => return Ok(true),
                Some(now) if now.user.version == version_before => {}
                Some(now) if now.user.version == user.version => return Ok(false),
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
    ) -> Result<Option<Stored>, CqlError> {
        self.session
            .execute_unpaged(statement, (id,))
            .await?
            .into_rows_result()
            .map_err(CqlError::answer)?
            .maybe_first_row::<Row>()
            .map_err(CqlError::answer)?
            .map(Stored::try_from)
            .transpose()
    }
}

fn role_names(user: &User) -> Vec<String> {
    user.roles
        .iter()
        .map(|role| role.as_str().to_owned())
        .collect()
}

impl Row {
    fn new(user: &User, password_hash: &str, operation_id: Uuid) -> Self {
        Self {
            user_id: user.id,
            version: user.version,
            operation_id,
            email: user.email.as_str().to_owned(),
            name: user.name.as_str().to_owned(),
            phone: user.phone.as_ref().map(|phone| phone.as_str().to_owned()),
            locale: user.locale.as_str().to_owned(),
            roles: role_names(user),
            email_verified: user.email_verified,
            password_hash: password_hash.to_owned(),
            created_at: to_cql(user.created_at),
        }
    }
}

impl TryFrom<Row> for Stored {
    type Error = CqlError;

    fn try_from(row: Row) -> Result<Self, CqlError> {
        let id = row.user_id;
        let broken = |error: NotAllowed| CqlError::answer(format!("user {id}: {error} expected"));
        let user = User {
            id,
            version: row.version,
            email: Email::parse(&row.email).map_err(broken)?,
            name: Name::parse(&row.name).map_err(broken)?,
            phone: row
                .phone
                .as_deref()
                .map(Phone::parse)
                .transpose()
                .map_err(broken)?,
            locale: Locale::parse(&row.locale).map_err(broken)?,
            // A role that a newer version of the service knows gives no right here.
            roles: row
                .roles
                .iter()
                .filter_map(|role| role.parse::<Role>().ok())
                .collect(),
            email_verified: row.email_verified,
            created_at: from_cql(row.created_at),
        };
        Ok(Self {
            user,
            password_hash: row.password_hash,
            operation_id: row.operation_id,
        })
    }
}
