//! How an account gets another address: it is wished for, proved by the link that was mailed there, claimed, and the one
//! before is given back.

use std::time::Duration;

use platform::clock::Timestamp;
use uuid::Uuid;

use super::account::Account;
use super::email::Email;
use super::user::User;

/// How long it is remembered which address an account had before: as long as its owner is told of the change there.
pub const FORMER_KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// An address that somebody wants instead of the present one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Another one for each wish: a link that was mailed for one proves no other.
    pub id: Uuid,
    /// Where the link goes.
    pub email: Email,
    /// When the link ends that was asked for with it, and with it the wish, to the millisecond.
    pub until: Timestamp,
}

/// What came of a wish whose link was used: who uses it again is told the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvedWish {
    /// Of the wish.
    pub id: Uuid,
    /// Somebody else had the address by then, and the account keeps the one before.
    pub is_refused: bool,
}

/// A change of address on its way. Whoever publishes the user carries it on, so that none stays half done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// This one is proved and is to be claimed; until it is, the one before is good.
    To(Email),
    /// The account has another one already, and the claim of this one is to be given back.
    From(Email),
}

/// An address that an account had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerEmail {
    /// The address.
    pub email: Email,
    /// When another one took its place, to the millisecond.
    pub until: Timestamp,
}

impl FormerEmail {
    /// Whether its owner is still told there.
    pub fn is_recent(&self, now: Timestamp) -> bool {
        now.since(self.until) < FORMER_KEPT_FOR
    }
}

impl Account {
    /// With a wish for another address in place of any other wish, one version on.
    #[must_use]
    pub fn with_wish(self, wish: Wish) -> Self {
        Self {
            user: self.user.next(),
            wish: Some(wish),
            ..self
        }
    }

    /// Without a wish that has run out and without addresses of long ago, one version on; as it was where there are none.
    #[must_use]
    pub fn without_old_addresses(self, now: Timestamp) -> Self {
        let wish = self.wish.clone().filter(|wish| now < wish.until);
        let mut former = self.former_emails.clone();
        former.retain(|former| former.is_recent(now));
        if wish == self.wish && former == self.former_emails {
            return self;
        }
        Self {
            user: self.user.next(),
            wish,
            former_emails: former,
            ..self
        }
    }

    /// On the way to the address that was wished for and is proved, one version on; `None` without such a wish, or while
    /// another change is on its way.
    #[must_use]
    pub fn moving_to_wish(self, wish_id: Uuid) -> Option<Self> {
        if self.moving.is_some() {
            return None;
        }
        let wish = self.wish.filter(|wish| wish.id == wish_id)?;
        Some(Self {
            user: self.user.next(),
            wish: None,
            proved: Some(ProvedWish {
                id: wish_id,
                is_refused: false,
            }),
            moving: Some(Move::To(wish.email)),
            ..self
        })
    }

    /// At the address that it has claimed, one version on; every session ends, and the address is proved.
    #[must_use]
    pub fn moved(self, email: Email, now: Timestamp) -> Self {
        let before = self.user.email.clone();
        let mut former = self.former_emails;
        former.retain(|former| former.is_recent(now));
        former.push(FormerEmail {
            email: before.clone(),
            until: now,
        });
        Self {
            user: User {
                email,
                email_verified: true,
                ..self.user.next()
            },
            epoch: self.epoch.wrapping_add(1),
            moving: Some(Move::From(before)),
            former_emails: former,
            ..self
        }
    }

    /// At rest where it is, since somebody else has the address; one version on.
    #[must_use]
    pub fn refused(self) -> Self {
        let refused = |proved| ProvedWish {
            is_refused: true,
            ..proved
        };
        Self {
            proved: self.proved.map(refused),
            ..self.settled()
        }
    }

    /// At rest where it is, one version on.
    #[must_use]
    pub fn settled(self) -> Self {
        Self {
            user: self.user.next(),
            moving: None,
            ..self
        }
    }

    /// Whether the claim of an address is the account's: of the one that it has, or of the one that it is about to have.
    pub fn holds(&self, email: &Email) -> bool {
        let key = email.key();
        let is_next = |to: &Move| matches!(to, Move::To(next) if next.key() == key);
        self.user.email.key() == key || self.moving.as_ref().is_some_and(is_next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::tests::account;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);
    const WISH: Uuid = Uuid::from_u128(7);

    fn email(text: &str) -> Email {
        Email::parse(text).expect("an address")
    }

    fn wishing() -> Account {
        account().with_wish(Wish {
            id: WISH,
            email: email("new@example.com"),
            until: NOW,
        })
    }

    #[test]
    fn from_a_wish_to_the_new_address() {
        let old = account().user.email;
        let proved = wishing().moving_to_wish(WISH).expect("the wish");
        assert_eq!((proved.user.version, proved.epoch), (3, account().epoch));
        assert_eq!(proved.user.email, old);
        assert!(proved.holds(&email("NEW@example.com")) && proved.holds(&old));

        let moved = proved.moved(email("new@example.com"), NOW);
        assert_eq!(moved.epoch, account().epoch + 1);
        assert!(moved.user.email_verified && !moved.holds(&old));
        assert_eq!(moved.moving, Some(Move::From(old.clone())));
        let former = FormerEmail {
            email: old,
            until: NOW,
        };
        assert_eq!(moved.former_emails, [former]);
        let settled = moved.settled();
        assert_eq!((settled.user.version, settled.moving), (5, None));
        let granted = ProvedWish {
            id: WISH,
            is_refused: false,
        };
        assert_eq!(settled.proved, Some(granted));
    }

    #[test]
    fn what_came_of_a_wish_is_remembered_until_the_next_one_is_proved() {
        let refused = wishing().moving_to_wish(WISH).expect("the wish").refused();
        let told = ProvedWish {
            id: WISH,
            is_refused: true,
        };
        assert_eq!((refused.proved, refused.moving.clone()), (Some(told), None));
        assert_eq!(refused.user.email, account().user.email);
        let next = Wish {
            id: Uuid::from_u128(8),
            email: email("next@example.com"),
            until: NOW,
        };
        let wishing = refused
            .with_password("other".into(), NOW)
            .with_wish(next.clone());
        assert_eq!(wishing.proved, Some(told));
        let proved = wishing.moving_to_wish(next.id).expect("the wish").proved;
        assert_eq!(proved.map(|proved| proved.id), Some(next.id));
    }

    #[test]
    fn a_wish_is_good_for_itself_once_and_for_its_time() {
        assert!(wishing().moving_to_wish(Uuid::nil()).is_none());
        assert!(account().moving_to_wish(WISH).is_none());
        let secured = wishing().with_password("new".into(), NOW);
        assert!(secured.moving_to_wish(WISH).is_none());
        let busy = wishing().moving_to_wish(WISH).expect("the wish");
        let again = busy.with_wish(wishing().wish.expect("a wish"));
        assert!(again.moving_to_wish(WISH).is_none());
        let just_before = Timestamp::from_seconds(999);
        assert!(wishing().without_old_addresses(just_before) == wishing());
        let forgotten = wishing().without_old_addresses(NOW);
        assert_eq!((forgotten.user.version, forgotten.wish), (3, None));
    }

    #[test]
    fn former_addresses_are_forgotten_after_a_while() {
        let first = account().moved(email("b@example.com"), NOW).settled();
        let soon = NOW + Duration::from_secs(60);
        let both = first.clone().moved(email("c@example.com"), soon);
        assert_eq!(both.former_emails.len(), 2);
        let week = NOW + FORMER_KEPT_FOR;
        assert!(both.clone().without_old_addresses(soon) == both);
        assert_eq!(both.without_old_addresses(week).former_emails.len(), 1);
        let late = first.moved(email("c@example.com"), week);
        assert_eq!(late.former_emails.len(), 1);
    }
}
