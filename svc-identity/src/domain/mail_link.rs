//! Links in mails that prove who reads mail at an address.

use std::time::Duration;

use platform::clock::Timestamp;
use uuid::Uuid;

use super::session::SecretHash;

/// How long a link is good, and as long as the record that asks for its mail is kept.
pub const LINK_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// What a link is for. One for the one is worth nothing for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To prove the address.
    VerifyEmail,
    /// To choose a new password.
    ResetPassword,
    /// To prove another address, which the account gets with it.
    ChangeEmail,
}

impl Purpose {
    /// The name, in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify-email",
            Self::ResetPassword => "reset-password",
            Self::ChangeEmail => "change-email",
        }
    }
}

/// A link, without the secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailLink {
    /// Stands in the link.
    pub id: Uuid,
    /// Who may use it.
    pub user_id: Uuid,
    /// SHA-256 of the secret in it.
    pub secret_hash: SecretHash,
    /// The user's epoch when it was made. Another epoch makes it worth nothing for choosing a password or another address:
    /// one was chosen in between, and be it by another such link. Who reads mail at the address is the same in every epoch,
    /// and so is what came of a wish.
    pub epoch: i32,
    /// The wish for another address that it is about.
    pub wish_id: Option<Uuid>,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl MailLink {
    /// Whether whoever presents this secret may use it, for an account in `epoch`. For another address the epoch counts
    /// when the wish is granted: until then it may have been already, and is told.
    pub fn is_good(
        &self,
        purpose: Purpose,
        secret_hash: &SecretHash,
        epoch: i32,
        now: Timestamp,
    ) -> bool {
        let is_of_epoch = match purpose {
            Purpose::VerifyEmail | Purpose::ChangeEmail => true,
            Purpose::ResetPassword => self.epoch == epoch,
        };
        self.secret_hash == *secret_hash && is_of_epoch && now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_for_its_secret_its_epoch_and_its_time() {
        let end = Timestamp::from_seconds(100);
        let link = MailLink {
            id: Uuid::from_u128(1),
            user_id: Uuid::from_u128(2),
            secret_hash: [7; 32],
            epoch: 3,
            wish_id: None,
            expires_at: end,
        };
        let before = Timestamp::from_seconds(99);
        let [verify, reset] = [Purpose::VerifyEmail, Purpose::ResetPassword];
        for purpose in [verify, reset, Purpose::ChangeEmail] {
            assert!(link.is_good(purpose, &[7; 32], 3, before));
            assert!(!link.is_good(purpose, &[6; 32], 3, before));
            assert!(!link.is_good(purpose, &[7; 32], 3, end));
        }
        assert!(!link.is_good(reset, &[7; 32], 4, before));
        assert!(link.is_good(Purpose::ChangeEmail, &[7; 32], 4, before));
        // Other roles, or another password, do not change who reads the mail.
        assert!(link.is_good(verify, &[7; 32], 4, before));
    }
}
