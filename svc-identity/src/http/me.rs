//! What people see and change of themselves.

use std::net::IpAddr;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::client::Client;
use platform::http::problem::ProblemBody;
use platform::http::{Code, IfMatch, Json, Problem};
use platform::ids::new_id;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::user_shapes::{ProfileIn, UserOut, answer};
use super::{Fields, find};
use crate::app::App;
use crate::domain::account::Account;
use crate::domain::address_change::Wish;
use crate::domain::audit::{Action, Deed};
use crate::domain::email::Email;
use crate::domain::mail_link::LINK_LIFETIME;
use crate::domain::password;

/// Who wants another password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordIn {
    #[schema(value_type = String, format = Password, max_length = 1024)]
    current_password: SecretString,
    /// Any text that is not among those that are tried first.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024)]
    new_password: SecretString,
}

/// Who wants another address.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailIn {
    #[schema(value_type = String, format = Password, max_length = 1024)]
    current_password: SecretString,
    /// Not the present one, in whatever case.
    #[schema(max_length = 254, example = "alice@example.org")]
    new_email: String,
}

/// Who am I?
#[utoipa::path(
    get, path = "/v1/users/me", tag = "users", security(("bearer" = [])),
    responses(
        (status = 200, body = UserOut, headers(("ETag" = String))),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 404, description = "`not-found`: the user was erased", body = ProblemBody),
    )
)]
pub async fn show_me(State(app): State<App>, caller: Caller) -> Result<impl IntoResponse, Problem> {
    Ok(answer(find(&app, caller.user_id).await?.user))
}

/// Change what others know of me
///
/// The address is changed by `POST /v1/users/me/email`. Access tokens that are out keep the locale that they were issued with.
#[utoipa::path(
    patch, path = "/v1/users/me", tag = "users", security(("bearer" = [])),
    params(("If-Match" = String, Header, description = "The ETag that the change starts from, or `*`")),
    request_body = ProfileIn,
    responses(
        (status = 200, body = UserOut, headers(("ETag" = String))),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 404, description = "`not-found`: the user was erased", body = ProblemBody),
        (status = 412, description = "`stale`", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 428, description = "`if-match-required`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn patch_me(
    State(app): State<App>,
    Client(client): Client,
    caller: Caller,
    if_match: IfMatch,
    Json(wanted): Json<ProfileIn>,
) -> Result<impl IntoResponse, Problem> {
    let change = wanted.check()?;
    let deed = Deed::own(caller.user_id, Action::ProfileChanged, client);
    let user = super::change_profile(&app, deed, caller.user_id, &if_match, &change).await?;
    Ok(answer(user))
}

/// Choose another password
///
/// The user is told by mail. Every refresh token of the user is dead at once, the caller's own too: sign in again. Access tokens that are out end
/// by themselves, after 15 minutes at most.
#[utoipa::path(
    post, path = "/v1/users/me/password", tag = "users", security(("bearer" = [])),
    request_body = PasswordIn,
    responses(
        (status = 204),
        (status = 401, description = "`bad-credentials`: the current password is another one; `unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 404, description = "`not-found`: the user was erased", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`overloaded`, `unavailable`", body = ProblemBody),
    )
)]
pub async fn change_password(
    State(app): State<App>,
    Client(client): Client,
    caller: Caller,
    Json(passwords): Json<PasswordIn>,
) -> Result<StatusCode, Problem> {
    let (current, new) = passwords.check()?;
    let failure = Action::PasswordChangeFailed;
    let account = knows_password(&app, &caller, client, current, failure).await?;
    let verified = account.password_hash;
    let hash = app.passwords.hash(new).await?;
    let now = Timestamp::now_millis();
    let changed = app.accounts.change(caller.user_id, |account| {
        check_password(&verified, &account)?;
        Ok::<_, Problem>(account.with_password(hash.clone(), now))
    });
    let deed = Deed::own(caller.user_id, Action::PasswordChanged, client);
    app.trail.around(deed, changed).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Erase me
///
/// For good, and everywhere: other services forget the person when they hear of it; orders stay, without a name. It
/// needs a session that began with the password within the last 15 minutes. Access tokens that are out name nobody.
#[utoipa::path(
    delete, path = "/v1/users/me", tag = "users", security(("bearer" = [])),
    params(("If-Match" = Option<String>, Header, description = "The ETag that was seen, if it matters")),
    responses(
        (status = 204),
        (status = 401, description = "`unauthenticated`: also when the sign-in was too long ago; `token-expired`", body = ProblemBody),
        (status = 404, description = "`not-found`: the user was erased", body = ProblemBody),
        (status = 412, description = "`stale`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn erase_me(
    State(app): State<App>,
    Client(client): Client,
    caller: Caller,
    if_match: Option<IfMatch>,
) -> Result<StatusCode, Problem> {
    super::own_erasure::erase_own(&app, &caller, client, if_match).await
}

/// Ask for another address
///
/// A mail with a link goes to it, unless somebody has it, which is not told; until the link is used, nothing changes. One
/// wish at a time: the links of earlier ones are dead.
#[utoipa::path(
    post, path = "/v1/users/me/email", tag = "users", security(("bearer" = [])),
    params(("If-Match" = String, Header, description = "The ETag that the change starts from, or `*`")),
    request_body = EmailIn,
    responses(
        (status = 202, description = "A mail is on its way, unless somebody has the address"),
        (status = 401, description = "`bad-credentials`: the current password is another one; `unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 404, description = "`not-found`: the user was erased", body = ProblemBody),
        (status = 412, description = "`stale`", body = ProblemBody),
        (status = 422, description = "`invalid`: also for the present address", body = ProblemBody),
        (status = 428, description = "`if-match-required`", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`overloaded`, `unavailable`", body = ProblemBody),
    )
)]
pub async fn wish_email(
    State(app): State<App>,
    Client(client): Client,
    caller: Caller,
    if_match: IfMatch,
    Json(wanted): Json<EmailIn>,
) -> Result<StatusCode, Problem> {
    let (current, email) = wanted.check()?;
    let failure = Action::EmailChangeFailed;
    let account = knows_password(&app, &caller, client, current, failure).await?;
    super::check_version(&if_match, &account)?;
    if account.holds(&email) {
        let detail = "another address than the present one";
        return Err(Problem::invalid("/new_email", "unchanged", detail));
    }
    // Neither from one account nor from many is anybody to be flooded with mail.
    app.limits.wish(caller.user_id, &email.key())?;
    let wish = Wish {
        id: new_id(),
        email,
        until: Timestamp::now_millis() + LINK_LIFETIME,
    };
    let verified = account.password_hash;
    let wished = app.accounts.wish(caller.user_id, wish, |account| {
        super::check_version(&if_match, account)?;
        check_password(&verified, account)
    });
    let deed = Deed::own(caller.user_id, Action::EmailChangeAsked, client);
    app.trail.around(deed, wished).await?;
    Ok(StatusCode::ACCEPTED)
}

/// The caller's account, if `current` is its password; else `failure` is in the audit trail before it is answered.
async fn knows_password(
    app: &App,
    caller: &Caller,
    client: IpAddr,
    current: SecretString,
    failure: Action,
) -> Result<Account, Problem> {
    let account = find(app, caller.user_id).await?;
    app.limits.password(client, &account.user.email.key())?;
    let hash = Some(account.password_hash.as_str());
    if app.passwords.verify(current, hash).await? {
        return Ok(account);
    }
    let deed = Deed::own(caller.user_id, failure, client);
    app.trail.record(deed).await?;
    Err(wrong_password())
}

/// That the password which was `verified` is still the current one: somebody may have changed it since.
fn check_password(verified: &str, account: &Account) -> Result<(), Problem> {
    match account.password_hash == verified {
        true => Ok(()),
        false => Err(wrong_password()),
    }
}

fn wrong_password() -> Problem {
    Problem::new(Code::BadCredentials).detail("the current password is another one")
}

impl EmailIn {
    fn check(self) -> Result<(SecretString, Email), Problem> {
        let mut fields = Fields::new();
        let current = password::check_presented(self.current_password.expose_secret());
        let current = fields.take("/current_password", current.map(|()| self.current_password));
        let new = fields.take("/new_email", Email::parse(&self.new_email));
        fields.complete(current.zip(new))
    }
}

impl PasswordIn {
    fn check(self) -> Result<(SecretString, SecretString), Problem> {
        let mut fields = Fields::new();
        let current = password::check_presented(self.current_password.expose_secret());
        let current = fields.take("/current_password", current.map(|()| self.current_password));
        let new = password::check_new(self.new_password.expose_secret());
        let new = fields.take("/new_password", new.map(|()| self.new_password));
        fields.complete(current.zip(new))
    }
}
