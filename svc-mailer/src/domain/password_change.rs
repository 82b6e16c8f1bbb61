//! What a mail says about another password.

use platform::clock::Timestamp;
use uuid::Uuid;

/// An account got another password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordChange {
    /// The same however often it is told.
    pub notice_id: Uuid,
    /// Whose account.
    pub user_id: Uuid,
    /// When.
    pub at: Timestamp,
}
