//! A user.

use platform::auth::RoleSet;
use platform::clock::Timestamp;
use uuid::Uuid;

use super::email::Email;
use super::locale::Locale;
use super::name::Name;
use super::phone::Phone;

/// A person with an account, without the secret that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Never changes and is never given to anyone else.
    pub id: Uuid,
    /// 1 at first, one more with each change.
    pub version: i64,
    /// Where mail goes.
    pub email: Email,
    /// What to call the person.
    pub name: Name,
    /// Where text messages go, if anywhere.
    pub phone: Option<Phone>,
    /// The language of mails.
    pub locale: Locale,
    /// What the person may do.
    pub roles: RoleSet,
    /// The person has proved to read mail at the address.
    pub email_verified: bool,
    /// When the account was made, to the millisecond.
    pub created_at: Timestamp,
}

impl User {
    /// The same user, one version on.
    #[must_use]
    pub fn next(self) -> Self {
        Self {
            version: self.version + 1,
            ..self
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use platform::auth::Role;

    /// Somebody, at version 1.
    pub(in crate::domain) fn user() -> User {
        User {
            id: Uuid::from_u128(1),
            version: 1,
            email: Email::parse("alice@example.com").expect("an address"),
            name: Name::parse("Alice").expect("a name"),
            phone: None,
            locale: Locale::En,
            roles: RoleSet::from([Role::Customer]),
            email_verified: false,
            created_at: Timestamp::EPOCH,
        }
    }
}
