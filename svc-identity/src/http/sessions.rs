//! Sessions: sign in, stay signed in, sign out.

use std::net::IpAddr;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::client::Client;
use platform::http::problem::ProblemBody;
use platform::http::{Code, Json, Problem};
use platform::ids::new_id;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Fields;
use crate::app::App;
use crate::domain::account::Account;
use crate::domain::audit::{Action, Deed};
use crate::domain::email::{Email, EmailKey};
use crate::domain::key_ring::ACCESS_TOKEN_LIFETIME;
use crate::domain::password;
use crate::domain::session::{Presented, Session};
use crate::domain::user::User;
use crate::limits::network;
use crate::tokens::OpaqueToken;

/// Who wants to sign in.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialsIn {
    #[schema(max_length = 254, example = "alice@example.com")]
    email: String,
    #[schema(value_type = String, format = Password, max_length = 1024)]
    password: SecretString,
}

/// Who wants to stay signed in.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshIn {
    /// The newest one. One that was used before ends the session.
    #[schema(value_type = String)]
    refresh_token: SecretString,
}

/// What a client signs its requests with.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokensOut {
    /// For `Authorization: Bearer …`.
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the access token ends.
    #[schema(example = 900)]
    expires_in: u64,
    /// For one use at `POST /v1/sessions/refresh`.
    refresh_token: String,
}

/// Sign in
#[utoipa::path(
    post, path = "/v1/sessions", tag = "sessions",
    request_body = CredentialsIn,
    responses(
        (status = 200, body = TokensOut),
        (status = 401, description = "`bad-credentials`, for a wrong address and a wrong password alike", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`overloaded`, `unavailable`", body = ProblemBody),
    )
)]
pub async fn sign_in(
    State(app): State<App>,
    Client(client): Client,
    Json(credentials): Json<CredentialsIn>,
) -> Result<impl IntoResponse, Problem> {
    let (email, password) = credentials.check()?;
    let email = email.key();
    app.limits.password(client, &email)?;
    // A wrong address takes the same steps as a wrong password, so that nobody learns from the time who has an account.
    let holder = app.accounts.claims.find(&email).await?;
    check_stranger(&app, client, &email, holder).await?;
    let account = app.users.find(holder.unwrap_or(Uuid::nil())).await?;
    // A claim alone is nobody's: while an address is changed, the user has one and holds two.
    let account = account.filter(|account| account.user.email.key() == email);
    let hash = account
        .as_ref()
        .map(|account| account.password_hash.as_str());
    let verified = app.passwords.verify(password.clone(), hash).await?;
    let user_id = account.as_ref().map(|account| account.user.id);
    let Some(account) = account.filter(|_| verified) else {
        let deed = Deed::by_stranger(Action::SignInFailed, user_id, client);
        app.trail.record_of_stranger(deed).await?;
        return Err(Problem::new(Code::BadCredentials));
    };

    let now = Timestamp::now();
    let refresh_token = OpaqueToken::generate(new_id()).map_err(Problem::internal)?;
    let session = Session {
        id: refresh_token.id,
        user_id: account.user.id,
        revoked: false,
        secret_hash: refresh_token.hash(),
        // Of the row whose password was verified: a change of it meanwhile ends this session as well.
        epoch: account.epoch,
        signed_in_at: Some(now),
        expires_at: now + app.session_lifetime,
    };
    app.sessions.insert(&session, now).await?;
    let access_token = issue(&app, &account.user, session.id, now).await?;
    renew_hash(&app, password, &account).await?;
    let network = network(client);
    app.recent_sign_ins.insert(session.user_id, network).await?;
    // Before anybody has the tokens: without the entry nobody is signed in.
    let deed = Deed::own(session.user_id, Action::SignedIn, client);
    app.trail.record(deed).await?;
    Ok(answer(access_token, &refresh_token))
}

/// Get the next pair of tokens
#[utoipa::path(
    operation_id = "refresh_session",
    post, path = "/v1/sessions/refresh", tag = "sessions",
    request_body = RefreshIn,
    responses(
        (status = 200, body = TokensOut),
        (status = 401, description = "`unauthenticated`: sign in again", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn refresh(
    State(app): State<App>,
    Client(client): Client,
    Json(presented): Json<RefreshIn>,
) -> Result<impl IntoResponse, Problem> {
    let presented = OpaqueToken::parse(presented.refresh_token.expose_secret()).ok_or(ended())?;
    let now = Timestamp::now();
    let session = app.sessions.find(presented.id).await?;
    let session = session.ok_or(ended())?;
    match session.present(&presented.hash(), now) {
        Presented::Good => {}
        Presented::Spent => return Err(revoke_copied(&app, &session, client, now).await),
        Presented::Ended => return Err(ended()),
    }
    let account = app.users.find(session.user_id).await?;
    let account = account.filter(|account| account.epoch == session.epoch);
    let user = account.ok_or(ended())?.user;
    // The old token is spent last: what fails before that can be repeated with it.
    let access_token = issue(&app, &user, session.id, now).await?;
    let next = OpaqueToken::generate(session.id).map_err(Problem::internal)?;
    let rotated = app.sessions.rotate(&session, &next.hash(), now).await?;
    if !rotated {
        // Somebody used the same token in this moment.
        return Err(revoke_copied(&app, &session, client, now).await);
    }
    Ok(answer(access_token, &next))
}

/// Sign out
///
/// The refresh token is dead at once; the access token still ends by itself.
#[utoipa::path(
    delete, path = "/v1/sessions/current", tag = "sessions", security(("bearer" = [])),
    responses(
        (status = 204),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn sign_out(
    State(app): State<App>,
    Client(client): Client,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let revoke = async {
        if let Some(session) = app.sessions.find_by_token(caller.token_id).await? {
            app.sessions.revoke(&session, Timestamp::now()).await?;
        }
        Ok(())
    };
    let deed = Deed::own(caller.user_id, Action::SignedOut, client);
    app.trail.around(deed, revoke).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl CredentialsIn {
    fn check(self) -> Result<(Email, SecretString), Problem> {
        let mut fields = Fields::new();
        let email = fields.take("/email", Email::parse(&self.email));
        let password = password::check_presented(self.password.expose_secret());
        let password = fields.take("/password", password.map(|()| self.password));
        fields.complete(email.zip(password))
    }
}

/// Refuses whoever comes from where the account was not signed in to lately, while too many such try. Of nobody the same
/// is asked.
async fn check_stranger(
    app: &App,
    client: IpAddr,
    email: &EmailKey,
    holder: Option<Uuid>,
) -> Result<(), Problem> {
    let Err(too_often) = app.limits.stranger(email) else {
        return Ok(());
    };
    let user_id = holder.unwrap_or(Uuid::nil());
    match app.recent_sign_ins.has(user_id, network(client)).await? {
        true => Ok(()),
        false => Err(too_often.into()),
    }
}

/// Hashes the password anew if that was done when hashes were cheaper. The session stays as it is, and so does what others
/// know of the user.
async fn renew_hash(app: &App, password: SecretString, account: &Account) -> Result<(), Problem> {
    let old = &account.password_hash;
    if let Some(new) = app.passwords.renew(password, old).await? {
        app.users.renew_hash(account.user.id, old, &new).await?;
    }
    Ok(())
}

/// An access token of the session.
async fn issue(
    app: &App,
    user: &User,
    session_id: Uuid,
    now: Timestamp,
) -> Result<String, Problem> {
    let token_id = new_id();
    app.sessions.insert_token(token_id, session_id).await?;
    app.tokens
        .access_token(user, token_id, now)
        .map_err(Problem::internal)
}

fn answer(access_token: String, refresh_token: &OpaqueToken) -> impl IntoResponse + use<> {
    let tokens = TokensOut {
        access_token,
        token_type: "Bearer",
        expires_in: ACCESS_TOKEN_LIFETIME.as_secs(),
        refresh_token: refresh_token.text().expose_secret().to_owned(),
    };
    ([(header::CACHE_CONTROL, "no-store")], Json(tokens))
}

/// One answer for every refresh token that is worth nothing.
fn ended() -> Problem {
    Problem::new(Code::Unauthenticated).detail("the session has ended; sign in again")
}

/// Ends a session of which somebody has a copy of a token: the owner signs in again, the thief cannot.
async fn revoke_copied(app: &App, session: &Session, client: IpAddr, now: Timestamp) -> Problem {
    tracing::warn!(user_id = %session.user_id, "a spent refresh token was used; the session is revoked");
    // First of all, and whether or not it can be written down: a thief is at work.
    let revoked = app.sessions.revoke(session, now).await;
    let deed = Deed::by_stranger(Action::TokenReused, session.user_id, client);
    let recorded = app.trail.record(deed).await;
    match (revoked, recorded) {
        (Ok(()), Ok(())) => ended(),
        (Err(error), _) => error.into(),
        (_, Err(error)) => error.into(),
    }
}
