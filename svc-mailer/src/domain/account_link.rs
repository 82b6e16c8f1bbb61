//! What a mail says that bears a link to prove something with.

use platform::clock::Timestamp;
use uuid::Uuid;

/// What the link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// To prove the address.
    VerifyEmail,
    /// To choose a new password.
    ResetPassword {
        /// It goes to the address of this version of the recipient or a later one; 0 is any.
        user_version: i64,
    },
    /// To prove the address of this wish, which takes the place of the one before.
    ChangeEmail {
        /// By which the recipient's record names the address.
        wish_id: Uuid,
    },
}

/// A link that svc-identity made. Its token is a secret as long as it is good, so it is here in sealed form only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLink {
    /// What it is for.
    pub kind: LinkKind,
    /// Who gets it.
    pub user_id: Uuid,
    /// Names the token, and is no secret.
    pub token_id: Uuid,
    /// The token, encrypted under the name of its id.
    pub sealed_token: Vec<u8>,
    /// After that the link is worth nothing.
    pub expires_at: Timestamp,
}
