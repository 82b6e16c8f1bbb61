//! Who is calling: access tokens are verified here with the issuer's public keys, and handlers get a [`Caller`].
//!
//! The keys are kept while the issuer is away, so that a buyer with a token can go on buying.

mod caller;
mod erased_users;
mod keys;
mod role;
mod service_token;
mod verifier;

pub use caller::{Caller, OptionalCaller, ServiceCaller};
pub use erased_users::refuse_erased_users;
pub use role::{Role, RoleSet, UnknownRole};
pub use service_token::{ServiceTokenError, ServiceTokens};
pub use verifier::{AuthError, Verifier};

use jsonwebtoken::Algorithm;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::derived_id;

/// The `aud` of every access token of a person.
pub const AUDIENCE: &str = "ticketing";
/// The `aud` of every access token of a service. Another one, so that the gateway and every public route refuse them, and
/// internal routes refuse those of people.
pub const SERVICE_AUDIENCE: &str = "ticketing-services";
/// The `sub` of a service's tokens. It follows from its name, so that it is the same everywhere.
pub fn service_id(name: &str) -> Uuid {
    derived_id(Uuid::nil(), &["service", name])
}

/// The `typ` in the header of every access token (RFC 9068), so that no other signed token passes for one.
pub const TOKEN_TYPE: &str = "at+jwt";
/// The only algorithm. What a token says about it is compared, never followed.
pub const ALGORITHM: Algorithm = Algorithm::EdDSA;

/// What an access token says. The identity service signs this, everyone else verifies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    /// The public origin that issued it.
    pub iss: String,
    /// [`AUDIENCE`] or [`SERVICE_AUDIENCE`].
    pub aud: String,
    /// The user, or the service for role `service`.
    pub sub: Uuid,
    /// What the subject may do.
    pub roles: RoleSet,
    /// When it was issued, in seconds since the epoch.
    pub iat: i64,
    /// When it ends, in seconds since the epoch.
    pub exp: i64,
    /// The id of this token.
    pub jti: Uuid,
    /// The subject's locale, such as `fr`.
    pub locale: String,
}
