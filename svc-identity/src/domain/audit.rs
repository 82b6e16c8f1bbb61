//! What is worth remembering when somebody asks later who did it.

use core::net::IpAddr;

use platform::clock::Timestamp;
use uuid::Uuid;

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident $text:literal,)*) => {
        /// What was done, or tried.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action { $($(#[$doc])* $variant,)* }

        impl Action {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, in rows and answers.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

actions! {
    /// Somebody registered.
    Registered "registered",
    /// Somebody signed in.
    SignedIn "signed-in",
    /// A wrong address, or a wrong password.
    SignInFailed "sign-in-failed",
    /// Somebody signed out.
    SignedOut "signed-out",
    /// A refresh token was used again: somebody has a copy, and the session was ended.
    TokenReused "refresh-token-reused",
    /// Name, phone or locale.
    ProfileChanged "profile-changed",
    /// By somebody who knew the one before.
    PasswordChanged "password-changed",
    /// By somebody who did not.
    PasswordChangeFailed "password-change-failed",
    /// A link to choose a new password was asked for, whether or not the address has a user.
    ResetAsked "password-reset-asked",
    /// A password was chosen by such a link.
    PasswordReset "password-reset",
    /// Another address was wished for: a link went there.
    EmailChangeAsked "email-change-asked",
    /// By somebody who did not know the password.
    EmailChangeFailed "email-change-failed",
    /// Another address was proved by such a link, and took the place of the one before.
    EmailChanged "email-changed",
    /// An address was proved.
    EmailVerified "email-verified",
    /// An admin said what somebody may do.
    RolesChanged "roles-changed",
    /// A user was erased.
    Erased "erased",
    /// Somebody got all that is held about him.
    Exported "exported",
    /// A customer opened a support case.
    CaseOpened "case-opened",
    /// Somebody wrote a message in a case.
    CaseWritten "case-written",
    /// Somebody said whose turn it is in a case.
    CaseChanged "case-changed",
    /// Support looked at somebody's case.
    CaseSeen "case-seen",
    /// Support looked at a list of cases.
    CasesListed "cases-listed",
    /// Support looked at a customer.
    CustomerSeen "customer-seen",
    /// Somebody asked for what is for admins, or for support.
    Denied "denied",
    /// The next signing key was made, from the command line.
    KeysRotated "keys-rotated",
    /// A key was made that signs at once, and all others were taken away, from the command line.
    KeysWithdrawn "keys-withdrawn",
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Done,
    /// It did not: the request was refused.
    Refused,
    /// It may have happened: something was away in the middle of it, or the process died.
    Unknown,
}

impl Outcome {
    /// The name, in rows and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    /// Reads a row's. One that has none was not ended; what a newer version may write is not known here.
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            Some("done") => Self::Done,
            Some("refused") => Self::Refused,
            _ => Self::Unknown,
        }
    }
}

/// What somebody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed<A = Action> {
    /// What.
    pub action: A,
    /// Who does it, if anyone is signed in or becomes so.
    pub actor_id: Option<Uuid>,
    /// Whom it is about, if a user.
    pub user_id: Option<Uuid>,
    /// From where; nowhere for who sits at the machine.
    pub client: Option<IpAddr>,
}

impl Deed {
    /// What whoever is signed in as `actor_id` does to a user, or to none.
    pub fn by(
        actor_id: Uuid,
        action: Action,
        user_id: impl Into<Option<Uuid>>,
        client: IpAddr,
    ) -> Self {
        Self {
            action,
            actor_id: Some(actor_id),
            user_id: user_id.into(),
            client: Some(client),
        }
    }

    /// What somebody does about himself.
    pub fn own(user_id: Uuid, action: Action, client: IpAddr) -> Self {
        Self::by(user_id, action, user_id, client)
    }

    /// What somebody does who is not signed in.
    pub fn by_stranger(action: Action, user_id: impl Into<Option<Uuid>>, client: IpAddr) -> Self {
        Self {
            action,
            actor_id: None,
            user_id: user_id.into(),
            client: Some(client),
        }
    }
}

/// One thing that was done. Its action is text where it was read: a newer version may have written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<A = Action> {
    /// Id; ours, unlike that of the request.
    pub id: Uuid,
    /// When it began, to the millisecond.
    pub at: Timestamp,
    /// What.
    pub deed: Deed<A>,
    /// How it ended; `None` until then.
    pub outcome: Option<Outcome>,
    /// In which request. The caller may have chosen it.
    pub request_id: Option<String>,
}

/// A place in the trail; later places come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When.
    pub at: Timestamp,
    /// Which of that moment.
    pub id: Uuid,
}

impl Place {
    /// The day, in UTC, as so many days after 1970-01-01.
    pub const fn day(self) -> i64 {
        const DAY_SECS: i64 = 24 * 60 * 60;
        self.at.as_seconds().div_euclid(DAY_SECS)
    }

    /// Before all of `day`, and after all of the day before.
    pub fn start_of(day: i64) -> Self {
        const DAY_SECS: i64 = 24 * 60 * 60;
        Self {
            at: Timestamp::from_seconds(day.saturating_mul(DAY_SECS)),
            id: Uuid::nil(),
        }
    }
}

impl<A> Entry<A> {
    /// Where it stands.
    pub const fn place(&self) -> Place {
        Place {
            at: self.at,
            id: self.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_day_is_between_two_days() {
        let noon = Place {
            at: Timestamp::parse("2026-11-22T12:00:00Z").expect("a moment"),
            id: Uuid::max(),
        };
        let start = Place::start_of(noon.day());
        assert_eq!(start.at.to_rfc3339(), "2026-11-22T00:00:00Z");
        assert!(start < noon);
        assert_eq!(start.day(), noon.day());
        assert_eq!(Place::start_of(noon.day() - 1).day(), noon.day() - 1);
    }
}
