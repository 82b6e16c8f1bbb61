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
    /// Another address that is wished for, when there is one.
    pub wished_email: Option<WishedEmail>,
    /// Addresses of the last 7 days, oldest first. `None`: none.
    pub former_emails: Option<Vec<FormerEmail>>,
}

/// An address that the user wants instead and has not proved: nothing goes there but the link that proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WishedEmail {
    /// Another one for each wish.
    pub wish_id: Uuid,
    /// Address as the user wrote it.
    pub email: String,
}

/// An address that the user had: nothing goes there but that it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerEmail {
    /// Address as the user wrote it.
    pub email: String,
    /// When another one took its place: the time of the notice about it.
    pub until: Micros,
}

record!(
    UserSnapshot,
    "identity.users",
    "ticketing.identity.UserSnapshot",
    "../identity.users/UserSnapshot.avsc"
);

/// Somebody shall prove to read mail at his address. It bears a token: only the mailer may read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailVerificationRequested {
    /// The key.
    pub user_id: Uuid,
    /// Names the token and is no secret.
    pub token_id: Uuid,
    /// What the link in the mail bears. Secret.
    pub token: String,
    /// When the token was made.
    pub requested_at: Micros,
    /// After that the token is worth nothing and no mail is sent.
    pub expires_at: Micros,
}

record!(
    EmailVerificationRequested,
    "identity.mail",
    "ticketing.identity.EmailVerificationRequested",
    "../identity.mail/EmailVerificationRequested.avsc"
);

/// Somebody wants to choose a new password. It bears a token: only the mailer may read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordResetRequested {
    /// The key.
    pub user_id: Uuid,
    /// Names the token and is no secret.
    pub token_id: Uuid,
    /// What the link in the mail bears. Secret.
    pub token: String,
    /// When the token was made.
    pub requested_at: Micros,
    /// After that the token is worth nothing and no mail is sent.
    pub expires_at: Micros,
    /// The user's version when the token was made: the mail goes to the address of a snapshot that is no older. `None`:
    /// whichever is known.
    pub user_version: Option<i64>,
}

record!(
    PasswordResetRequested,
    "identity.mail",
    "ticketing.identity.PasswordResetRequested",
    "../identity.mail/PasswordResetRequested.avsc"
);

/// Somebody shall prove to read mail at the address that the account gets with it, which is in the user's snapshot under
/// the same `wish_id`. It bears a token: only the mailer may read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailChangeRequested {
    /// The key.
    pub user_id: Uuid,
    /// The wish that names the address. Where the snapshot has another one, no mail is sent.
    pub wish_id: Uuid,
    /// Names the token and is no secret.
    pub token_id: Uuid,
    /// What the link in the mail bears. Secret.
    pub token: String,
    /// When the token was made.
    pub requested_at: Micros,
    /// After that the token is worth nothing and no mail is sent.
    pub expires_at: Micros,
}

record!(
    EmailChangeRequested,
    "identity.mail",
    "ticketing.identity.EmailChangeRequested",
    "../identity.mail/EmailChangeRequested.avsc"
);

/// What happened to an account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NoticeKind {
    /// A symbol newer than this reader.
    #[default]
    Unknown,
    /// It has another password, chosen by who knew the one before or by the link in a mail.
    PasswordChanged,
    /// It has another address; told at the one before.
    EmailChanged,
}

/// Something happened to an account that its owner should hear of, whoever did it. Ids only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityNotice {
    /// The same however often it is said.
    pub notice_id: Uuid,
    /// The key.
    pub user_id: Uuid,
    /// What happened.
    pub kind: NoticeKind,
    /// When.
    pub at: Micros,
}

record!(
    SecurityNotice,
    "identity.notices",
    "ticketing.identity.SecurityNotice",
    "../identity.notices/SecurityNotice.avsc"
);
