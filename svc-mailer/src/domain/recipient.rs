//! Who gets a mail.

use uuid::Uuid;

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
