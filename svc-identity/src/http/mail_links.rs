//! Proving an address, a new password for who forgot the old one, and another address: each by a link in a mail.

use axum::extract::State;
use axum::http::StatusCode;
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::client::Client;
use platform::http::problem::ProblemBody;
use platform::http::{Json, Problem};
use platform::ids::new_id;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::{Fields, find};
use crate::app::App;
use crate::domain::audit::{Action, Deed};
use crate::domain::email::Email;
use crate::domain::mail_link::{MailLink, Purpose};
use crate::domain::password;
use crate::tokens::OpaqueToken;

/// Who forgot the password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordResetIn {
    #[schema(max_length = 254, example = "alice@example.com")]
    email: String,
}

/// Who came by the link.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPasswordIn {
    /// What the link bears.
    #[schema(value_type = String)]
    token: SecretString,
    /// Any text that is not among those that are tried first.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 1024)]
    new_password: SecretString,
}

/// Who came by the link.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerificationIn {
    /// What the link bears.
    #[schema(value_type = String)]
    token: SecretString,
}

/// Ask for a mail with which to choose a new password
///
/// The answer is the same, and takes as long, whether the address has a user or not.
#[utoipa::path(
    post, path = "/v1/password-resets", tag = "mail links",
    request_body = PasswordResetIn,
    responses(
        (status = 202, description = "If the address has a user, a mail is on its way"),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn ask_for_reset(
    State(app): State<App>,
    Client(client): Client,
    Json(wanted): Json<PasswordResetIn>,
) -> Result<StatusCode, Problem> {
    let mut fields = Fields::new();
    let email = fields.take("/email", Email::parse(&wanted.email));
    let email = fields.complete(email)?;
    app.limits.mail_request(client)?;
    app.limits.mail(&email.key())?;
    let claimed = app.accounts.claims.find(&email.key()).await?;
    let account = app.users.find(claimed.unwrap_or(Uuid::nil())).await?;
    // A claim alone is nobody's: where an address is being given up, its mailbox gets no link any more.
    let account = account.filter(|account| account.user.email.key() == email.key());
    let holder = account.map(|account| account.user.id);
    // For nobody the same is done: one row is written, and what becomes of it is found out after the answer.
    let user_id = holder.unwrap_or_else(new_id);
    let deed = Deed::by_stranger(Action::ResetAsked, holder, client);
    app.trail.record_of_stranger(deed).await?;
    let owed = app.mails.owe(Purpose::ResetPassword, user_id).await?;
    app.mails.settle_soon(owed);
    Ok(StatusCode::ACCEPTED)
}

/// Choose a new password by the link in a mail
///
/// Every refresh token of the user is dead at once, and so is every other such link. The address counts as proved, and a
/// mail tells that the password is another one.
#[utoipa::path(
    post, path = "/v1/password-resets/confirm", tag = "mail links",
    request_body = NewPasswordIn,
    responses(
        (status = 204),
        (status = 422, description = "`invalid`: also for a token that was used, is over an hour old or never was one", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`overloaded`, `unavailable`", body = ProblemBody),
    )
)]
pub async fn reset_password(
    State(app): State<App>,
    Client(client): Client,
    Json(wanted): Json<NewPasswordIn>,
) -> Result<StatusCode, Problem> {
    let mut fields = Fields::new();
    let new = password::check_new(wanted.new_password.expose_secret());
    let new = fields.take("/new_password", new.map(|()| wanted.new_password));
    let new = fields.complete(new)?;
    app.limits.link(client)?;
    let link = good_link(&app, Purpose::ResetPassword, &wanted.token).await?;
    let hash = app.passwords.hash(new).await?;
    let now = Timestamp::now_millis();
    let changed = app.accounts.change(link.user_id, |account| {
        // The change begins the next epoch: of many who come by this link at once, one gets here first.
        match account.epoch == link.epoch {
            true => Ok(account.recovered(hash.clone(), now)),
            false => Err(dead()),
        }
    });
    let deed = Deed::own(link.user_id, Action::PasswordReset, client);
    app.trail.around(deed, changed).await?;
    forget(&app, Purpose::ResetPassword, &link).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask for a mail with which to prove the address
#[utoipa::path(
    post, path = "/v1/email-verifications", tag = "mail links", security(("bearer" = [])),
    responses(
        (status = 202, description = "A mail is on its way, unless the address was proved before"),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 404, description = "`not-found`: the user was erased", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn ask_for_verification(
    State(app): State<App>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let account = find(&app, caller.user_id).await?;
    if !account.user.email_verified {
        app.limits.own_mail(caller.user_id)?;
        let owed = app.mails.owe(Purpose::VerifyEmail, caller.user_id).await?;
        app.mails.settle_soon(owed);
    }
    Ok(StatusCode::ACCEPTED)
}

/// Prove the address by the link in a mail
#[utoipa::path(
    post, path = "/v1/email-verifications/confirm", tag = "mail links",
    request_body = VerificationIn,
    responses(
        (status = 204),
        (status = 422, description = "`invalid`: also for a token that was used, is over an hour old or never was one", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn verify_email(
    State(app): State<App>,
    Client(client): Client,
    Json(wanted): Json<VerificationIn>,
) -> Result<StatusCode, Problem> {
    app.limits.link(client)?;
    let link = good_link(&app, Purpose::VerifyEmail, &wanted.token).await?;
    let changed = app
        .accounts
        .change(link.user_id, |account| match account.user.email_verified {
            true => Err(dead()),
            false => Ok(account.with_verified_email()),
        });
    let deed = Deed::own(link.user_id, Action::EmailVerified, client);
    app.trail.around(deed, changed).await?;
    forget(&app, Purpose::VerifyEmail, &link).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Get the address that was wished for by the link that was mailed there
///
/// Every refresh token of the user is dead at once, and so is every other link: sign in with the new address. The owner is
/// told at the one before, which is free for somebody else. Who got no answer, or 503, repeats it: it is done once, and
/// the same link gets the same answer until it ends.
#[utoipa::path(
    post, path = "/v1/email-changes/confirm", tag = "mail links",
    request_body = VerificationIn,
    responses(
        (status = 204),
        (status = 409, description = "`email-taken`: by somebody else since the mail was sent", body = ProblemBody),
        (status = 422, description = "`invalid`: also for a token that is over an hour old, is for an earlier wish or never was one", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn change_email(
    State(app): State<App>,
    Client(client): Client,
    Json(wanted): Json<VerificationIn>,
) -> Result<StatusCode, Problem> {
    app.limits.link(client)?;
    let link = good_link(&app, Purpose::ChangeEmail, &wanted.token).await?;
    let wish_id = link.wish_id.ok_or_else(dead)?;
    let outcome = app.accounts.outcome_of_wish(link.user_id, wish_id);
    if outcome.await?.is_some() {
        return Ok(StatusCode::NO_CONTENT);
    }
    let granted = async {
        let granted = app.accounts.grant_wish(link.user_id, wish_id, link.epoch);
        Ok(granted.await?)
    };
    let deed = Deed::own(link.user_id, Action::EmailChanged, client);
    app.trail.around(deed, granted).await?;
    // The link stays, for whoever does not get this answer.
    Ok(StatusCode::NO_CONTENT)
}

/// The link that `token` is from, if it still can be used for this.
async fn good_link(app: &App, purpose: Purpose, token: &SecretString) -> Result<MailLink, Problem> {
    let token = OpaqueToken::parse(token.expose_secret()).ok_or_else(dead)?;
    let link = app.mails.links.find(purpose, token.id).await?;
    let link = link.ok_or_else(dead)?;
    let account = app.users.find(link.user_id).await?.ok_or_else(dead)?;
    match link.is_good(purpose, &token.hash(), account.epoch, Timestamp::now()) {
        true => Ok(link),
        false => Err(dead()),
    }
}

/// The user's row says already that it was used; the rest is tidiness, and what stays ends by itself.
async fn forget(app: &App, purpose: Purpose, link: &MailLink) {
    if let Err(error) = app.mails.links.delete(purpose, link.id).await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "a used link is not forgotten yet");
    }
}

/// One answer for every token that is worth nothing.
pub(super) fn dead() -> Problem {
    Problem::invalid(
        "/token",
        "expired",
        "the token of a mail that is less than an hour old and was not used yet",
    )
}
