//! What handlers and jobs share.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use platform::auth::Verifier;
use platform::http::client::TrustedProxies;

use crate::accounts::Accounts;
use crate::catalog::Catalog;
use crate::checkout::Checkout;
use crate::desk::Desk;
use crate::http::to_the_end::AtWork;
use crate::limits::Limits;
use crate::mail_requests::MailRequests;
use crate::mailer::Mailer;
use crate::password::Passwords;
use crate::service_secrets::ServiceSecrets;
use crate::store::recent_sign_ins::RecentSignIns;
use crate::store::sessions::Sessions;
use crate::store::users::Users;
use crate::tokens::Tokens;
use crate::trail::Trail;

/// The state of the router. Cheap to clone.
#[derive(Clone, FromRef)]
pub struct App {
    /// Makes and changes users.
    pub accounts: Arc<Accounts>,
    /// Asks for mails, and knows the links in them.
    pub mails: Arc<MailRequests>,
    /// Whether who registers is asked by mail to prove the address.
    pub verify_at_registration: bool,
    /// Whose word about their clients is believed.
    pub trusted_proxies: TrustedProxies,
    /// How often somebody may try.
    pub limits: Arc<Limits>,
    /// Who is no stranger.
    pub recent_sign_ins: Arc<RecentSignIns>,
    /// Requests that are carried to their end.
    pub at_work: AtWork,
    /// Remembers who did what.
    pub trail: Arc<Trail>,
    /// Reads users.
    pub users: Arc<Users>,
    /// Verifies passwords.
    pub passwords: Arc<Passwords>,
    /// Sign-ins.
    pub sessions: Arc<Sessions>,
    /// When a user must sign in again.
    pub session_lifetime: Duration,
    /// The support desk.
    pub desk: Arc<Desk>,
    /// Knows who ordered what.
    pub checkout: Arc<Checkout>,
    /// Knows what was written to whom.
    pub mailer: Arc<Mailer>,
    /// Asked for events.
    pub catalog: Arc<Catalog>,
    /// Signs access tokens.
    pub tokens: Arc<Tokens>,
    /// Which services may have a token.
    pub service_secrets: Arc<ServiceSecrets>,
    /// Verifies access tokens.
    pub verifier: Arc<Verifier>,
}
