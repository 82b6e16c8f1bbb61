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
    /// The same user with other roles, one version on.
    #[must_use]
    pub fn with_roles(self, roles: RoleSet) -> Self {
        Self {
            roles,
            version: self.version + 1,
            ..self
        }
    }
}
