//! A user on the wire, and what may be changed about one.

use platform::auth::{Role, RoleSet};
use platform::clock::Timestamp;
use platform::http::{ETag, Json, Problem};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::Fields;
use crate::domain::NotAllowed;
use crate::domain::locale::Locale;
use crate::domain::name::Name;
use crate::domain::phone::Phone;
use crate::domain::profile::ProfileChange;
use crate::domain::user::User;

const REQUIRED: NotAllowed = NotAllowed::REQUIRED;

/// A user.
#[derive(Serialize, utoipa::ToSchema)]
pub struct UserOut {
    id: Uuid,
    /// As the user wrote it.
    email: String,
    name: String,
    /// E.164.
    #[schema(required = true)]
    phone: Option<String>,
    /// The language of mails.
    #[schema(example = "fr")]
    locale: &'static str,
    #[schema(value_type = Vec<Role>)]
    roles: RoleSet,
    email_verified: bool,
    created_at: Timestamp,
}

impl From<User> for UserOut {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            email: user.email.as_str().to_owned(),
            name: user.name.as_str().to_owned(),
            phone: user.phone.map(|phone| phone.as_str().to_owned()),
            locale: user.locale.as_str(),
            roles: user.roles,
            email_verified: user.email_verified,
            created_at: user.created_at,
        }
    }
}

/// A user with the version as ETag.
pub(super) fn answer(user: User) -> (ETag, Json<UserOut>) {
    (ETag(user.version), Json(user.into()))
}

/// What to change about a user; what is not sent stays.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileIn {
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, nullable = false, min_length = 1, max_length = 200, example = "Alice")]
    name: Option<Option<String>>,
    /// With the country code; null takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, example = "+33612345678")]
    phone: Option<Option<String>>,
    /// `en`, `fr` or `es`.
    #[serde(default, deserialize_with = "sent")]
    #[schema(value_type = Option<String>, nullable = false, example = "fr")]
    locale: Option<Option<String>>,
}

/// Tells a field that is null from one that is not there.
fn sent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A field that a user cannot be without.
fn parsed<T>(
    field: Option<Option<String>>,
    parse: impl FnOnce(&str) -> Result<T, NotAllowed>,
) -> Result<Option<T>, NotAllowed> {
    field.map(|text| parse(&text.ok_or(REQUIRED)?)).transpose()
}

impl ProfileIn {
    pub(super) fn check(self) -> Result<ProfileChange, Problem> {
        let mut fields = Fields::new();
        let name = fields.take("/name", parsed(self.name, Name::parse));
        let phone = self
            .phone
            .map(|phone| phone.as_deref().map(Phone::parse).transpose());
        let phone = fields.take("/phone", phone.transpose());
        let locale = fields.take("/locale", parsed(self.locale, Locale::parse));
        let all = (|| {
            Some(ProfileChange {
                name: name?,
                phone: phone?,
                locale: locale?,
            })
        })();
        fields.complete(all)
    }
}
