//! Handlers: parse, decide, store, answer. One file per noun.

pub mod audit;
pub mod case_shapes;
pub mod cases;
pub mod customers;
pub mod export;
pub mod keys;
pub mod mail_links;
pub mod me;
mod own_erasure;
pub mod service_tokens;
pub mod sessions;
pub mod staff;
pub mod to_the_end;
pub mod user_shapes;
pub mod users;

use platform::http::{Code, IfMatch, Problem};
use uuid::Uuid;

use crate::accounts::AccountError;
use crate::app::App;
use crate::desk::DeskError;
use crate::domain::NotAllowed;
use crate::domain::account::Account;
use crate::domain::audit::Deed;
use crate::domain::case::{Full, MAX_MESSAGES};
use crate::domain::profile::ProfileChange;
use crate::domain::user::User;
use crate::password::PoolError;
use crate::trail::TrailError;

/// The account, or 404.
async fn find(app: &App, id: Uuid) -> Result<Account, Problem> {
    let account = app.users.find(id).await?;
    account.ok_or(Problem::new(Code::NotFound))
}

/// Changes a user's profile, whoever asks.
async fn change_profile(
    app: &App,
    deed: Deed,
    id: Uuid,
    if_match: &IfMatch,
    change: &ProfileChange,
) -> Result<User, Problem> {
    let changed = app.accounts.change(id, |account| {
        check_version(if_match, &account)?;
        Ok::<_, Problem>(Account {
            user: change.apply(account.user),
            ..account
        })
    });
    app.trail.around(deed, changed).await
}

/// 412 unless the version is one that was seen; where no header is asked for and there is none, every version is.
fn check_version<'a>(
    if_match: impl Into<Option<&'a IfMatch>>,
    account: &Account,
) -> Result<(), Problem> {
    let check = |if_match: &IfMatch| if_match.check(account.user.version);
    if_match.into().map_or(Ok(()), check)
}

impl From<TrailError> for Problem {
    fn from(error: TrailError) -> Self {
        Self::unavailable(error)
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::NotFound => Self::new(Code::NotFound),
            DeskError::Stale => Self::new(Code::Stale),
            DeskError::Full(full) => full.into(),
            DeskError::Store(error) => error.into(),
        }
    }
}

impl From<Full> for Problem {
    fn from(_: Full) -> Self {
        let detail = format!("it has {MAX_MESSAGES} messages: open another one");
        Self::new(Code::CaseFull).detail(detail)
    }
}

impl From<PoolError> for Problem {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Overloaded => Self::new(Code::Overloaded),
            PoolError::Failed(_) => Self::internal(error),
        }
    }
}

impl From<AccountError> for Problem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::EmailTaken => Self::new(Code::EmailTaken),
            AccountError::NotFound => Self::new(Code::NotFound),
            AccountError::Stale => Self::new(Code::Stale),
            AccountError::NoWish => mail_links::dead(),
            AccountError::Password(error) => error.into(),
            AccountError::Store(error) => error.into(),
            AccountError::Publish(error) => Self::unavailable(error)
                .detail("it happened and will be published; look before you repeat it"),
        }
    }
}

/// Collects what is wrong with a body, so that the client learns of it all at once.
struct Fields(Problem);

impl Fields {
    fn new() -> Self {
        Self(Problem::new(Code::Invalid))
    }

    /// The value, if the rule allows it.
    fn take<T>(&mut self, pointer: &'static str, value: Result<T, NotAllowed>) -> Option<T> {
        match value {
            Ok(value) => Some(value),
            Err(NotAllowed { rule, allowed }) => {
                self.0 = self.0.clone().field(pointer, rule, allowed);
                None
            }
        }
    }

    /// What the fields make together: `values` when none was refused, else 422.
    fn complete<T>(self, values: Option<T>) -> Result<T, Problem> {
        values.ok_or(self.0)
    }
}
