//! identity.mail: links that prove who reads mail at an address. A token is sealed before anything is written down.

use platform::clock::Timestamp;
use platform::kafka::consumer::{Incoming, Outcome};
use schemas::Record as _;
use schemas::identity::{EmailChangeRequested, EmailVerificationRequested, PasswordResetRequested};
use secrecy::SecretString;

use super::{Handled, deliver, retry, timestamp};
use crate::app::App;
use crate::domain::account_link::{AccountLink, LinkKind};
use crate::domain::cause::Cause;

pub(super) async fn handle(app: &App, record: &Incoming<'_>) -> Handled {
    let Some(datum) = record.datum else {
        return Ok(Outcome::Done);
    };
    let (kind, user_id, token_id, token, expires_at) = match datum.name() {
        EmailVerificationRequested::NAME => {
            let asked: EmailVerificationRequested = datum.read()?;
            let kind = LinkKind::VerifyEmail;
            (
                kind,
                asked.user_id,
                asked.token_id,
                asked.token,
                asked.expires_at,
            )
        }
        PasswordResetRequested::NAME => {
            let asked: PasswordResetRequested = datum.read()?;
            let kind = LinkKind::ResetPassword {
                user_version: asked.user_version.unwrap_or_default(),
            };
            (
                kind,
                asked.user_id,
                asked.token_id,
                asked.token,
                asked.expires_at,
            )
        }
        EmailChangeRequested::NAME => {
            let asked: EmailChangeRequested = datum.read()?;
            let kind = LinkKind::ChangeEmail {
                wish_id: asked.wish_id,
            };
            (
                kind,
                asked.user_id,
                asked.token_id,
                asked.token,
                asked.expires_at,
            )
        }
        _ => return Ok(Outcome::Done),
    };
    let expires_at = timestamp(expires_at);
    if expires_at <= Timestamp::now() {
        // It was dead before anybody was told that there is one: there is nothing to remember.
        tracing::info!(%token_id, "a link died before its mail could be sent");
        return Ok(Outcome::Done);
    }
    let sealed_token = app
        .delivery
        .seal(token_id, &SecretString::from(token))
        .map_err(|error| retry(&error))?;
    let link = AccountLink {
        kind,
        user_id,
        token_id,
        sealed_token,
        expires_at,
    };
    deliver(app, Cause::Link(link), record.traceparent).await
}
