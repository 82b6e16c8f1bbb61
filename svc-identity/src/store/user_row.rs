//! A row of users and what it means.

use std::collections::BTreeMap;

use platform::auth::Role;
use platform::cql::CqlError;
use scylla::value::CqlTimestamp;
use scylla::{DeserializeRow, SerializeRow};
use uuid::Uuid;

use super::{from_cql, to_cql};
use crate::domain::NotAllowed;
use crate::domain::account::{Account, State};
use crate::domain::address_change::{FormerEmail, Move, ProvedWish, Wish};
use crate::domain::email::Email;
use crate::domain::locale::Locale;
use crate::domain::name::Name;
use crate::domain::phone::Phone;
use crate::domain::user::User;

/// Status of a row whose user is being erased.
pub(super) const ERASING: &str = "erasing";
/// Status of a row whose user was erased.
pub(super) const ERASED: &str = "erased";

/// The row of a user, all of it. Whoever was erased has no columns but the first three and the status.
#[derive(DeserializeRow)]
pub(super) struct Row {
    pub(super) user_id: Uuid,
    pub(super) version: i64,
    pub(super) operation_id: Uuid,
    status: Option<String>,
    email: Option<String>,
    name: Option<String>,
    phone: Option<String>,
    locale: Option<String>,
    roles: Option<Vec<String>>,
    email_verified: Option<bool>,
    password_hash: Option<String>,
    created_at: Option<CqlTimestamp>,
    epoch: Option<i32>,
    password_changed_at: Option<CqlTimestamp>,
    wish_id: Option<Uuid>,
    wished_email: Option<String>,
    wished_until: Option<CqlTimestamp>,
    proved_wish_id: Option<Uuid>,
    proved_wish_refused: Option<bool>,
    moving_to: Option<String>,
    moving_from: Option<String>,
    former_emails: Option<BTreeMap<CqlTimestamp, String>>,
}

/// What makes a user.
#[derive(SerializeRow)]
pub(super) struct NewRow<'a> {
    user_id: Uuid,
    version: i64,
    operation_id: Uuid,
    email: &'a str,
    name: &'a str,
    phone: Option<&'a str>,
    locale: &'a str,
    roles: Vec<String>,
    email_verified: bool,
    password_hash: &'a str,
    created_at: CqlTimestamp,
    epoch: i32,
}

/// What a change writes.
#[derive(SerializeRow)]
pub(super) struct Change<'a> {
    version: i64,
    operation_id: Uuid,
    email: &'a str,
    name: &'a str,
    phone: Option<&'a str>,
    locale: &'a str,
    roles: Vec<String>,
    email_verified: bool,
    password_hash: &'a str,
    epoch: i32,
    password_changed_at: Option<CqlTimestamp>,
    wish_id: Option<Uuid>,
    wished_email: Option<&'a str>,
    wished_until: Option<CqlTimestamp>,
    proved_wish_id: Option<Uuid>,
    proved_wish_refused: Option<bool>,
    moving_to: Option<&'a str>,
    moving_from: Option<&'a str>,
    former_emails: Option<BTreeMap<CqlTimestamp, &'a str>>,
    user_id: Uuid,
    version_before: i64,
}

impl<'a> NewRow<'a> {
    pub(super) fn new(account: &'a Account, operation_id: Uuid) -> Self {
        let user = &account.user;
        Self {
            user_id: user.id,
            version: user.version,
            operation_id,
            email: user.email.as_str(),
            name: user.name.as_str(),
            phone: user.phone.as_ref().map(Phone::as_str),
            locale: user.locale.as_str(),
            roles: role_names(user),
            email_verified: user.email_verified,
            password_hash: &account.password_hash,
            created_at: to_cql(user.created_at),
            epoch: account.epoch,
        }
    }
}

impl<'a> Change<'a> {
    /// What replaces the version before `account`'s.
    pub(super) fn new(account: &'a Account, operation_id: Uuid) -> Self {
        let user = &account.user;
        let wish = account.wish.as_ref();
        let (moving_to, moving_from) = match &account.moving {
            Some(Move::To(email)) => (Some(email.as_str()), None),
            Some(Move::From(email)) => (None, Some(email.as_str())),
            None => (None, None),
        };
        let former = account.former_emails.iter();
        let former: BTreeMap<_, _> = former
            .map(|former| (to_cql(former.until), former.email.as_str()))
            .collect();
        Self {
            version: user.version,
            operation_id,
            email: user.email.as_str(),
            name: user.name.as_str(),
            phone: user.phone.as_ref().map(Phone::as_str),
            locale: user.locale.as_str(),
            roles: role_names(user),
            email_verified: user.email_verified,
            password_hash: &account.password_hash,
            epoch: account.epoch,
            password_changed_at: account.password_changed_at.map(to_cql),
            wish_id: wish.map(|wish| wish.id),
            wished_email: wish.map(|wish| wish.email.as_str()),
            wished_until: wish.map(|wish| to_cql(wish.until)),
            proved_wish_id: account.proved.map(|proved| proved.id),
            proved_wish_refused: account.proved.map(|proved| proved.is_refused),
            moving_to,
            moving_from,
            former_emails: (!former.is_empty()).then_some(former),
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

impl TryFrom<Row> for State {
    type Error = CqlError;

    fn try_from(row: Row) -> Result<Self, CqlError> {
        match row.status.as_deref() {
            None => Ok(Self::Living(Box::new(row.account()?))),
            Some(ERASING) => row.email().map(Self::Erasing),
            Some(ERASED) => Ok(Self::Erased),
            Some(other) => Err(CqlError::Answer(format!(
                "user {}: no status is called {other}",
                row.user_id
            ))),
        }
    }
}

impl Row {
    fn account(self) -> Result<Account, CqlError> {
        let user = User {
            id: self.user_id,
            version: self.version,
            email: self.email()?,
            name: self.column("name", self.name.as_deref(), Name::parse)?,
            phone: match self.phone.as_deref() {
                Some(phone) => Some(self.column("phone", Some(phone), Phone::parse)?),
                None => None,
            },
            locale: self.column("locale", self.locale.as_deref(), Locale::parse)?,
            // A role that a newer version of the service knows gives no right here.
            roles: self
                .roles
                .iter()
                .flatten()
                .filter_map(|role| role.parse::<Role>().ok())
                .collect(),
            email_verified: self.email_verified.unwrap_or_default(),
            created_at: self.column("created_at", self.created_at, |at| Ok(from_cql(at)))?,
        };
        Ok(Account {
            user,
            password_hash: self.column("password_hash", self.password_hash.clone(), Ok)?,
            epoch: self.epoch.unwrap_or_default(),
            password_changed_at: self.password_changed_at.map(from_cql),
            wish: self.wish()?,
            proved: self.proved_wish_id.map(|id| ProvedWish {
                id,
                is_refused: self.proved_wish_refused.unwrap_or_default(),
            }),
            moving: self.moving()?,
            former_emails: self.former_emails()?,
        })
    }

    fn wish(&self) -> Result<Option<Wish>, CqlError> {
        let Some(id) = self.wish_id else {
            return Ok(None);
        };
        Ok(Some(Wish {
            id,
            email: self.column("wished_email", self.wished_email.as_deref(), Email::parse)?,
            until: self.column("wished_until", self.wished_until, |at| Ok(from_cql(at)))?,
        }))
    }

    fn moving(&self) -> Result<Option<Move>, CqlError> {
        let email = |column, text| self.column(column, Some(text), Email::parse);
        Ok(
            match (self.moving_to.as_deref(), self.moving_from.as_deref()) {
                (Some(to), _) => Some(Move::To(email("moving_to", to)?)),
                (None, Some(from)) => Some(Move::From(email("moving_from", from)?)),
                (None, None) => None,
            },
        )
    }

    fn former_emails(&self) -> Result<Vec<FormerEmail>, CqlError> {
        let former = self.former_emails.iter().flatten();
        former
            .map(|(until, email)| {
                Ok(FormerEmail {
                    email: self.column("former_emails", Some(email.as_str()), Email::parse)?,
                    until: from_cql(*until),
                })
            })
            .collect()
    }

    fn email(&self) -> Result<Email, CqlError> {
        self.column("email", self.email.as_deref(), Email::parse)
    }

    /// A column that cannot be empty.
    fn column<C, T>(
        &self,
        name: &str,
        value: Option<C>,
        read: impl FnOnce(C) -> Result<T, NotAllowed>,
    ) -> Result<T, CqlError> {
        let value = value.ok_or(NotAllowed::REQUIRED).and_then(read);
        let id = self.user_id;
        value.map_err(|error| CqlError::Answer(format!("user {id}: {name}: {error} expected")))
    }
}
