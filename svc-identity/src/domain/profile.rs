//! What people change about themselves.

use super::locale::Locale;
use super::name::Name;
use super::phone::Phone;
use super::user::User;

/// The fields to change; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileChange {
    /// What to call the person.
    pub name: Option<Name>,
    /// Where text messages go; `Some(None)`: nowhere any more.
    pub phone: Option<Option<Phone>>,
    /// The language of mails.
    pub locale: Option<Locale>,
}

impl ProfileChange {
    /// The user with the change made, one version on; a user whom it does not change stays at his version.
    pub fn apply(&self, user: User) -> User {
        let changed = User {
            name: self.name.clone().unwrap_or_else(|| user.name.clone()),
            phone: self.phone.clone().unwrap_or_else(|| user.phone.clone()),
            locale: self.locale.unwrap_or(user.locale),
            ..user.clone()
        };
        if changed == user {
            user
        } else {
            changed.next()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::tests::user;

    #[test]
    fn only_what_is_named_changes() {
        let change = ProfileChange {
            name: Name::parse("Other").ok(),
            ..ProfileChange::default()
        };
        let changed = change.apply(user());
        assert_eq!((changed.version, changed.name.as_str()), (2, "Other"));
        assert_eq!((changed.phone, changed.locale), (user().phone, Locale::En));
    }

    #[test]
    fn a_phone_number_can_be_taken_away() {
        let with = User {
            phone: Phone::parse("+33612345678").ok(),
            ..user()
        };
        let change = ProfileChange {
            phone: Some(None),
            ..ProfileChange::default()
        };
        assert_eq!(change.apply(with.clone()).phone, None);
        assert_eq!(ProfileChange::default().apply(with.clone()), with);
    }

    #[test]
    fn what_changes_nothing_makes_no_version() {
        let change = ProfileChange {
            name: Some(user().name),
            phone: Some(None),
            locale: Some(Locale::En),
        };
        assert_eq!(change.apply(user()), user());
    }
}
