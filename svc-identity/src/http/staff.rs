//! Admins and support, as arguments of a handler: 401 without a token, 403 for anyone else, before the rest of the request
//! is looked at.
//!
//! A token lives a quarter of an hour, and its roles may have been taken away meanwhile: else whoever was an admin could make
//! himself one again. So the roles of staff are looked up, here where they are kept, at every call.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use platform::auth::{Caller, Role, RoleSet, Verifier};
use platform::http::Problem;
use platform::http::client::{Client, TrustedProxies};

use crate::domain::audit::{Action, Deed};
use crate::store::users::Users;
use crate::trail::Trail;

/// Who works at the support desk.
pub const DESK: [Role; 2] = [Role::Support, Role::Admin];

/// The caller, whoever that is: as staff only if that is still so.
pub struct Present(pub Caller);

/// The caller is an admin.
pub struct Admin(pub Caller);

/// The caller works at the support desk.
pub struct Supporter(pub Caller);

impl<S> FromRequestParts<S> for Present
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
    Arc<Users>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = <Caller as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        if !caller.roles.contains_any(&DESK) {
            return Ok(Self(caller));
        }
        let account = Arc::<Users>::from_ref(state).find(caller.user_id).await?;
        let roles = account.map_or(RoleSet::default(), |account| account.user.roles);
        let kept = caller.roles.iter().filter(|role| roles.contains(*role));
        Ok(Self(Caller {
            roles: kept.collect(),
            ..caller
        }))
    }
}

impl<S> FromRequestParts<S> for Admin
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
    Arc<Users>: FromRef<S>,
    Arc<Trail>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        caller_with(&[Role::Admin], parts, state).await.map(Self)
    }
}

impl<S> FromRequestParts<S> for Supporter
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
    Arc<Users>: FromRef<S>,
    Arc<Trail>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        caller_with(&DESK, parts, state).await.map(Self)
    }
}

/// The caller, who has one of `roles`. A denial is in the audit trail before it is answered.
async fn caller_with<S>(roles: &[Role], parts: &mut Parts, state: &S) -> Result<Caller, Problem>
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
    Arc<Users>: FromRef<S>,
    Arc<Trail>: FromRef<S>,
    TrustedProxies: FromRef<S>,
{
    let Present(caller) = Present::from_request_parts(parts, state).await?;
    if let Err(denied) = caller.require(roles) {
        let Client(client) = Client::from_request_parts(parts, state).await?;
        let trail = Arc::<Trail>::from_ref(state);
        let deed = Deed::by(caller.user_id, Action::Denied, None, client);
        trail.record(deed).await?;
        return Err(denied);
    }
    Ok(caller)
}
