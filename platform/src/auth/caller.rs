//! The caller, as an argument of a handler.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use uuid::Uuid;

use super::{AuthError, Role, RoleSet, Verifier};
use crate::http::{Code, Problem};

/// Who is calling, after a verified access token. 401 without one.
///
/// The handler's state must give the verifier: `impl FromRef<App> for Arc<Verifier>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub user_id: Uuid,
    /// What the caller may do.
    pub roles: RoleSet,
    /// The caller's locale, such as `fr`.
    pub locale: String,
    /// The id of the token.
    pub token_id: Uuid,
}

impl Caller {
    /// 403 `forbidden` unless the caller has one of `roles`.
    pub fn require(&self, roles: &[Role]) -> Result<(), Problem> {
        if self.roles.contains_any(roles) {
            Ok(())
        } else {
            Err(Problem::new(Code::Forbidden))
        }
    }

    /// Whether the caller has `role`.
    pub const fn has(&self, role: Role) -> bool {
        self.roles.contains(role)
    }
}

/// Who is calling, for handlers that also serve those who are not signed in. A token that is sent must still be valid:
/// a client whose token has expired should learn it and not see less than it expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionalCaller(pub Option<Caller>);

/// Another of our services, after a verified token of its own. 401 for everyone else, people who are signed in included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCaller {
    /// The service.
    pub service_id: Uuid,
}

impl<S> FromRequestParts<S> for ServiceCaller
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)?.ok_or(Code::Unauthenticated)?;
        let verifier = Arc::<Verifier>::from_ref(state);
        let service_id = verifier.verify_service(token).await?;
        Ok(Self { service_id })
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        caller(&parts.headers, state)
            .await?
            .ok_or_else(|| Problem::new(Code::Unauthenticated))
    }
}

impl<S> OptionalFromRequestParts<S> for Caller
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        caller(&parts.headers, state).await
    }
}

impl<S> FromRequestParts<S> for OptionalCaller
where
    S: Send + Sync,
    Arc<Verifier>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        caller(&parts.headers, state).await.map(Self)
    }
}

/// `None` when no token was sent.
async fn caller<S>(headers: &HeaderMap, state: &S) -> Result<Option<Caller>, Problem>
where
    Arc<Verifier>: FromRef<S>,
{
    match bearer(headers)? {
        Some(token) => {
            let verifier = Arc::<Verifier>::from_ref(state);
            Ok(Some(verifier.verify(token).await?))
        }
        None => Ok(None),
    }
}

/// The token of the one `Authorization` header. Two of them are refused: this service and the gateway might each
/// believe another one.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(AuthError::Invalid("two Authorization headers"));
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or(AuthError::Invalid("not a bearer token"))?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::Invalid("not a bearer token"));
    }
    Ok(Some(token.trim()))
}
