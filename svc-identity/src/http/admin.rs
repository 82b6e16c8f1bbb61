//! Admins, as an argument of a handler.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use platform::auth::{Caller, Role, Verifier};
use platform::http::Problem;
use platform::http::client::{Client, TrustedProxies};

use crate::domain::audit::{Action, Deed};
use crate::trail::Trail;

/// The caller is an admin: 401 without a token, 403 for anyone else, before the rest of the request is looked at.
pub struct Admin(pub Caller);

impl<S> FromRequestParts<S> for Admin
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
    Arc<Trail>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = <Caller as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        if let Err(denied) = caller.require(&[Role::Admin]) {
            let Client(client) = Client::from_request_parts(parts, state).await?;
            let trail = Arc::<Trail>::from_ref(state);
            let deed = Deed {
                action: Action::Denied,
                actor_id: Some(caller.user_id),
                user_id: None,
                client: Some(client),
            };
            trail.record(deed).await?;
            return Err(denied);
        }
        Ok(Self(caller))
    }
}
