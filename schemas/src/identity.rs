//! Records of svc-identity.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Micros, record};

/// The newest state of a user. Personal: a tombstone erases it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSnapshot {
    /// The key.
    pub user_id: Uuid,
    /// Grows by one with every change.
    pub version: i64,
    /// Display name.
    pub name: String,
    /// Address as the user wrote it.
    pub email: String,
    /// E.164, when given.
    pub phone: Option<String>,
    /// BCP 47 language of mails: en, fr or es.
    pub locale: String,
    /// customer, organizer, gate, support, admin.
    pub roles: Vec<String>,
    /// The address was proved.
    pub email_verified: bool,
    /// When the account was made.
    pub created_at: Micros,
}

record!(
    UserSnapshot,
    "identity.users",
    "ticketing.identity.UserSnapshot",
    "../identity.users/UserSnapshot.avsc"
);
