//! Who gets a mail.

use platform::clock::Timestamp;
use uuid::Uuid;

use super::account_link::{AccountLink, LinkKind};
use super::cause::Cause;

/// A user, as far as mails need one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Id.
    pub user_id: Uuid,
    /// Grows with every change.
    pub version: i64,
    /// How the mail greets.
    pub name: String,
    /// Where the mail goes.
    pub email: String,
    /// BCP 47 language of mails.
    pub locale: String,
    /// Another address that is wished for and not proved.
    pub wished: Option<WishedAddress>,
    /// Addresses of before.
    pub former: Vec<FormerAddress>,
}

/// Where nothing goes but the link that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WishedAddress {
    /// Another one for each wish.
    pub wish_id: Uuid,
    /// The address.
    pub email: String,
}

/// Where nothing goes but that it was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerAddress {
    /// The address.
    pub email: String,
    /// When another one took its place.
    pub until: Timestamp,
}

impl Recipient {
    /// Where the mail about `cause` goes; `None` while the record that says so has not come.
    pub fn address_for(&self, cause: &Cause) -> Option<&str> {
        match cause {
            Cause::Link(AccountLink {
                kind: LinkKind::ChangeEmail { wish_id },
                ..
            }) => {
                let wished = self.wished.as_ref();
                let wished = wished.filter(|wished| wished.wish_id == *wish_id)?;
                Some(&wished.email)
            }
            // An address of before may be somebody else's by now, who would get the account with the link.
            Cause::Link(AccountLink {
                kind: LinkKind::ResetPassword { user_version },
                ..
            }) => (self.version >= *user_version).then_some(self.email.as_str()),
            Cause::EmailChanged(change) => {
                let mut former = self.former.iter();
                let former = former.find(|former| former.until == change.at)?;
                Some(&former.email)
            }
            Cause::PaymentConfirmed(_)
            | Cause::OrderEnded(_)
            | Cause::Link(_)
            | Cause::PasswordChanged(_) => Some(&self.email),
        }
    }
}

/// What is known about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The user's record has not come yet: the order of topics is not guaranteed.
    Unknown,
    /// The user was erased and gets no mail any more.
    Erased,
    /// The newest state.
    Known(Recipient),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account_change::AccountChange;

    const USER: Uuid = Uuid::from_u128(1);

    fn recipient() -> Recipient {
        Recipient {
            user_id: USER,
            version: 4,
            name: "Alice".into(),
            email: "now@example.com".into(),
            locale: "en".into(),
            wished: Some(WishedAddress {
                wish_id: Uuid::from_u128(7),
                email: "wished@example.com".into(),
            }),
            former: vec![FormerAddress {
                email: "before@example.com".into(),
                until: Timestamp::from_seconds(5),
            }],
        }
    }

    fn link(kind: LinkKind) -> Cause {
        Cause::Link(AccountLink {
            kind,
            user_id: USER,
            token_id: Uuid::from_u128(2),
            sealed_token: Vec::new(),
            expires_at: Timestamp::from_seconds(9),
        })
    }

    fn change(at: i64) -> AccountChange {
        AccountChange {
            notice_id: Uuid::from_u128(3),
            user_id: USER,
            at: Timestamp::from_seconds(at),
        }
    }

    #[test]
    fn a_link_for_a_wish_goes_to_the_address_of_that_wish_alone() {
        let wish = |id| LinkKind::ChangeEmail {
            wish_id: Uuid::from_u128(id),
        };
        let recipient = recipient();
        let address = |cause| recipient.address_for(&cause).map(ToOwned::to_owned);
        assert_eq!(
            address(link(wish(7))).as_deref(),
            Some("wished@example.com")
        );
        assert_eq!(address(link(wish(8))), None);
        let verified = address(link(LinkKind::VerifyEmail));
        assert_eq!(verified.as_deref(), Some("now@example.com"));
    }

    #[test]
    fn a_link_to_a_new_password_waits_for_the_version_that_it_was_made_for() {
        let recipient = recipient();
        for (user_version, expected) in [
            (0, Some("now@example.com")),
            (4, Some("now@example.com")),
            (5, None),
        ] {
            let reset = link(LinkKind::ResetPassword { user_version });
            assert_eq!(recipient.address_for(&reset), expected, "{user_version}");
        }
    }

    #[test]
    fn a_change_of_address_is_told_at_the_one_that_ended_with_it() {
        let recipient = recipient();
        let address = |cause| recipient.address_for(&cause).map(ToOwned::to_owned);
        let told = address(Cause::EmailChanged(change(5)));
        assert_eq!(told.as_deref(), Some("before@example.com"));
        assert_eq!(address(Cause::EmailChanged(change(6))), None);
        let password = address(Cause::PasswordChanged(change(5)));
        assert_eq!(password.as_deref(), Some("now@example.com"));
    }
}
