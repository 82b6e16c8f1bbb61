//! A row of users and what it means.

use platform::auth::Role;
use platform::cql::CqlError;
use scylla::value::CqlTimestamp;
use scylla::{DeserializeRow, SerializeRow};
use uuid::Uuid;

use super::{from_cql, to_cql};
use crate::domain::NotAllowed;
use crate::domain::account::Account;
use crate::domain::email::Email;
use crate::domain::locale::Locale;
use crate::domain::name::Name;
use crate::domain::phone::Phone;
use crate::domain::user::User;

/// The row of a user, all of it.
#[derive(DeserializeRow, SerializeRow)]
pub(super) struct Row {
    user_id: Uuid,
    pub(super) version: i64,
    pub(super) operation_id: Uuid,
    email: String,
    name: String,
    phone: Option<String>,
    locale: String,
    roles: Vec<String>,
    email_verified: bool,
    password_hash: String,
    created_at: CqlTimestamp,
    epoch: Option<i32>,
}

/// What a change writes.
#[derive(SerializeRow)]
pub(super) struct Change<'a> {
    version: i64,
    operation_id: Uuid,
    name: &'a str,
    phone: Option<&'a str>,
    locale: &'a str,
    roles: Vec<String>,
    email_verified: bool,
    password_hash: &'a str,
    epoch: i32,
    user_id: Uuid,
    version_before: i64,
}

impl Row {
    pub(super) fn new(account: &Account, operation_id: Uuid) -> Self {
        let user = &account.user;
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
            password_hash: account.password_hash.clone(),
            created_at: to_cql(user.created_at),
            epoch: Some(account.epoch),
        }
    }
}

impl<'a> Change<'a> {
    /// What replaces the version before `account`'s.
    pub(super) fn new(account: &'a Account, operation_id: Uuid) -> Self {
        let user = &account.user;
        Self {
            version: user.version,
            operation_id,
            name: user.name.as_str(),
            phone: user.phone.as_ref().map(Phone::as_str),
            locale: user.locale.as_str(),
            roles: role_names(user),
            email_verified: user.email_verified,
            password_hash: &account.password_hash,
            epoch: account.epoch,
            user_id: user.id,
            version_before: user.version - 1,
        }
    }
}

fn role_names(user: &User) -> Vec<String> {
    user.roles
        .iter()
        .map(|role| role.as_str().to_owned())
        .collect()
}

impl TryFrom<Row> for Account {
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
            epoch: row.epoch.unwrap_or_default(),
        })
    }
}
