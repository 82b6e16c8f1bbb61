//! Whoever erases himself has signed in just now, by whichever of two paths he asks for it.

use std::net::IpAddr;

use axum::http::StatusCode;
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::{Code, IfMatch, Problem};

use crate::app::App;
use crate::domain::audit::{Action, Deed};
use crate::domain::session::Session;

/// Erases the caller, who has signed in just now.
pub(super) async fn erase_own(
    app: &App,
    caller: &Caller,
    client: IpAddr,
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
