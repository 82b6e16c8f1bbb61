//! A user together with what proves that it is him.

use platform::auth::RoleSet;
use platform::clock::Timestamp;

use super::address_change::{FormerEmail, Move, ProvedWish, Wish};
use super::email::Email;
use super::user::User;

/// What there is under the id of a user.
pub enum State {
    /// Nothing, ever.
    Absent,
    /// A user.
    Living(Box<Account>),
    /// A user who is being erased. Of the person only the address is left, which leads to its claim.
    Erasing(Email),
    /// Somebody who was erased. Nothing is left but the id.
    Erased,
}

impl State {
    /// The account of a living user.
    pub fn living(self) -> Option<Account> {
        match self {
            Self::Living(account) => Some(*account),
            Self::Absent | Self::Erasing(_) | Self::Erased => None,
        }
    }
}

/// A row of users. Not to be printed: it has the hash of the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: User,
    /// PHC string.
    pub password_hash: String,
    /// A session is good under the epoch in which it began and under no other. The row that says what changed ends all
    /// sessions with it, in one write: there is no moment in which one is done and the other is not.
    pub epoch: i32,
    /// When another password took the place of the first one, to the millisecond; its owner is told.
    pub password_changed_at: Option<Timestamp>,
    /// Another address that is wished for and not proved.
    pub wish: Option<Wish>,
    /// What came of the last one that was proved.
    pub proved: Option<ProvedWish>,
    /// A change of address that is not at its end.
    pub moving: Option<Move>,
    /// Addresses that it had lately; their owner is told there.
    pub former_emails: Vec<FormerEmail>,
}

impl Account {
    /// The first version of an account.
    pub const fn new(user: User, password_hash: String) -> Self {
        Self {
            user,
            password_hash,
            epoch: 0,
            password_changed_at: None,
            wish: None,
            proved: None,
            moving: None,
            former_emails: Vec::new(),
        }
    }

    /// With another password, one version on; every session ends, and whoever wished for another address has to know it.
    #[must_use]
    pub fn with_password(self, password_hash: String, now: Timestamp) -> Self {
        Self {
            user: self.user.next(),
            password_hash,
            epoch: self.epoch.wrapping_add(1),
            password_changed_at: Some(now),
            wish: None,
            ..self
        }
    }

    /// With a password that was chosen by a link in a mail: whoever did reads mail at the address.
    #[must_use]
    pub fn recovered(self, password_hash: String, now: Timestamp) -> Self {
        let mut recovered = self.with_password(password_hash, now);
        recovered.user.email_verified = true;
        recovered
    }

    /// With a proved address, one version on.
    #[must_use]
    pub fn with_verified_email(self) -> Self {
        Self {
            user: User {
                email_verified: true,
                ..self.user.next()
            },
            ..self
        }
    }

    /// With these roles. Where they are others, one version on, and every session ends; else as it was.
    #[must_use]
    pub fn with_roles(self, roles: RoleSet) -> Self {
        if self.user.roles == roles {
            return self;
        }
        Self {
            user: User {
                roles,
                ..self.user.next()
            },
            epoch: self.epoch.wrapping_add(1),
            ..self
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::user::tests::user;
    use platform::auth::Role;

    const NOW: Timestamp = Timestamp::from_seconds(100);

    /// Of somebody, at version 1 and in epoch 3.
    pub(in crate::domain) fn account() -> Account {
        Account {
            epoch: 3,
            ..Account::new(user(), "old".into())
        }
    }

    #[test]
    fn a_new_password_ends_sessions_even_if_it_is_the_old_one() {
        let changed = account().with_password("old".into(), NOW);
        assert_eq!((changed.user.version, changed.epoch), (2, 4));
        assert_eq!(changed.password_changed_at, Some(NOW));
    }

    #[test]
    fn a_recovered_account_has_a_proved_address() {
        let recovered = account().recovered("new".into(), NOW);
        assert!(recovered.user.email_verified);
        assert_eq!((recovered.user.version, recovered.epoch), (2, 4));
        let verified = account().with_verified_email();
        assert!(verified.user.email_verified);
        assert_eq!((verified.user.version, verified.epoch), (2, 3));
    }

    #[test]
    fn other_roles_end_sessions_and_the_same_roles_do_not() {
        let same = account().with_roles(account().user.roles);
        assert!(same == account());
        let admin = account().with_roles(RoleSet::from([Role::Admin]));
        assert_eq!((admin.user.version, admin.epoch), (2, 4));
        assert_eq!(admin.user.roles, RoleSet::from([Role::Admin]));
        assert_eq!(
            (&*admin.password_hash, admin.password_changed_at),
            ("old", None)
        );
    }
}
