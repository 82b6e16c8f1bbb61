//! What people see and change of themselves.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::client::Client;
use platform::http::problem::ProblemBody;
use platform::http::{Code, IfMatch, Json, Problem};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::user_shapes::{ProfileIn, UserOut, answer};
use super::{Fields, find};
use crate::app::App;
use crate::domain::audit::{Action, Deed};
use crate::domain::password;
use crate::domain::session::Session;

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
/// The address cannot be changed. Access tokens that are out keep the locale that they were issued with.
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
    let account = find(&app, caller.user_id).await?;
    app.limits.password(client, &account.user.email.key())?;
    let verified = account.password_hash;
    if !app.passwords.verify(current, Some(&verified)).await? {
        let deed = Deed::own(caller.user_id, Action::PasswordChangeFailed, client);
        app.trail.record(deed).await?;
        return Err(wrong_password());
    }
    let hash = app.passwords.hash(new).await?;
    let now = Timestamp::now_millis();
    let changed = app.accounts.change(caller.user_id, |account| {
        // Somebody else may have changed it while ours was hashed, and then it is another one that is current.
        match account.password_hash == verified {
            true => Ok(account.with_password(hash.clone(), now)),
            false => Err(wrong_password()),
        }
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
    let session = app.sessions.find_by_token(caller.token_id).await?;
    let now = Timestamp::now();
    let erased = app.accounts.erase(caller.user_id, |account| {
        let is_fresh = |session: &Session| session.is_fresh(account.epoch, now);
        if !session.as_ref().is_some_and(is_fresh) {
            return Err(Problem::new(Code::Unauthenticated)
                .detail("sign in again, and repeat this within 15 minutes"));
        }
        super::check_version(if_match.as_ref(), account)
    });
    let deed = Deed::own(caller.user_id, Action::Erased, client);
    app.trail.around(deed, erased).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wrong_password() -> Problem {
    Problem::new(Code::BadCredentials).detail("the current password is another one")
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
