//! What a mail says about a change of an account that its owner should hear of.

use platform::clock::Timestamp;
use uuid::Uuid;

/// An account was changed: another password, or another address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountChange {
    /// The same however often it is told.
    pub notice_id: Uuid,
    /// Whose account.
    pub user_id: Uuid,
    /// When.
    pub at: Timestamp,
}
