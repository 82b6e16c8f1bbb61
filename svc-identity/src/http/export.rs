//! All that is held about the caller.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::client::Client;
use platform::http::problem::ProblemBody;
use platform::http::{Json, Problem};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::case_shapes::CaseOut;
use super::find;
use super::user_shapes::UserOut;
use crate::app::App;
use crate::domain::account::Account;
use crate::domain::audit::{Action, Deed, Entry, Outcome};
use crate::domain::session::Session;
use crate::export::{ExportError, Held, gather};

/// All that is held about a person. Lists are newest first.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Export)]
pub struct ExportOut {
    exported_at: Timestamp,
    profile: UserOut,
    /// Another address that was asked for and is not proved.
    #[schema(required = true)]
    wished_email: Option<AddressOut>,
    /// Addresses of the last 7 days, kept so that the owner is told there of the change.
    former_emails: Vec<AddressOut>,
    /// Sign-ins that have not run out.
    sessions: Vec<SessionOut>,
    /// The networks from which there was a sign-in in the last 30 days.
    sign_in_addresses: Vec<String>,
    /// What the audit trail says of the person.
    audit: Vec<OwnEntryOut>,
    /// What was written to support, and what support answered.
    cases: Vec<CaseOut>,
    /// Orders with their tickets, as `GET /v1/orders` shows them.
    #[schema(value_type = Vec<Object>)]
    orders: Vec<Value>,
    /// Events of an organizer with their ticket types, drafts included, as `GET /v1/organizers/me/events` shows them.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Value>,
    /// Their vouchers, as `GET /v1/events/{id}/vouchers` shows them, each with its `event_id`.
    #[schema(value_type = Vec<Object>)]
    vouchers: Vec<Value>,
    /// What was sent to the person, as `GET /v1/notifications` shows it.
    #[schema(value_type = Vec<Object>)]
    notifications: Vec<Value>,
    /// Of these lists there are only the 10,000 newest items; of all others everything.
    #[schema(example = json!([]))]
    cut: Vec<&'static str>,
}

/// An address beside the present one.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ExportedAddress)]
pub struct AddressOut {
    email: String,
    /// When it ceased to be, or when the link that proves it ends.
    until: Timestamp,
}

/// A sign-in.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ExportedSession)]
pub struct SessionOut {
    #[schema(required = true)]
    signed_in_at: Option<Timestamp>,
    /// When it ends at the latest.
    expires_at: Timestamp,
    /// It ended before.
    ended: bool,
}

/// An entry of the audit trail about the person.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ExportedAuditEntry)]
pub struct OwnEntryOut {
    at: Timestamp,
    /// As `GET /v1/audit` has it.
    #[schema(example = "signed-in")]
    action: String,
    #[schema(example = "done")]
    outcome: &'static str,
    /// The person did it; else it was somebody who works for the shop, or who was not signed in.
    by_me: bool,
    /// From where. Null where somebody did it who works for the shop.
    #[schema(required = true, example = "203.0.113.7")]
    client: Option<String>,
}

/// Everything that is held about me
///
/// Also what svc-catalog, svc-checkout and svc-mailer hold. It is whole or not made: while one of them is away it is 503.
#[utoipa::path(
    get, path = "/v1/users/me/export", tag = "users", security(("bearer" = [])),
    responses(
        (status = 200, body = ExportOut),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 404, description = "`not-found`: the user was erased", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`unavailable`: it says which service is away", body = ProblemBody),
    )
)]
pub async fn export_me(
    State(app): State<App>,
    Client(client): Client,
    caller: Caller,
) -> Result<impl IntoResponse, Problem> {
    app.limits.export(caller.user_id)?;
    // Many reads of several services: large, and so apart.
    let export = Box::pin(async {
        let account = find(&app, caller.user_id).await?;
        let now = Timestamp::now();
        let held = gather(&app, caller.user_id, now).await;
        Ok(ExportOut::new(account, held.map_err(problem)?, now))
    });
    let deed = Deed::own(caller.user_id, Action::Exported, client);
    let export = app.trail.around(deed, export).await?;
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"export.json\"",
        ),
    ];
    Ok((headers, Json(export)))
}

fn problem(error: ExportError) -> Problem {
    match error {
        ExportError::Store(error) => error.into(),
        ExportError::Neighbour { service, .. } => {
            let detail = format!("{service} does not answer; without it the export is not whole");
            Problem::unavailable(error).detail(detail)
        }
    }
}

impl ExportOut {
    fn new(account: Account, held: Held, now: Timestamp) -> Self {
        let (user_id, epoch) = (account.user.id, account.epoch);
        let cut = [
            ("sessions", held.sessions.is_cut),
            ("sign_in_addresses", held.clients.is_cut),
            ("audit", held.audit.is_cut),
            ("cases", held.cases.is_cut),
            ("orders", held.orders.is_cut),
            ("events", held.events.is_cut),
            ("vouchers", held.vouchers.is_cut),
            ("notifications", held.notifications.is_cut),
        ];
        let mut sessions = held.sessions.items;
        sessions.sort_unstable_by_key(|session| std::cmp::Reverse(session.signed_in_at));
        let sessions = sessions
            .into_iter()
            .map(|session| SessionOut::new(&session, epoch, now));
        let wished = account.wish;
        let former = account.former_emails.into_iter();
        let audit = held.audit.items.into_iter();
        let cases = held.cases.items.into_iter();
        Self {
            exported_at: now,
            profile: account.user.into(),
            wished_email: wished.map(|wish| AddressOut {
                email: wish.email.as_str().to_owned(),
                until: wish.until,
            }),
            former_emails: former
                .map(|former| AddressOut {
                    email: former.email.as_str().to_owned(),
                    until: former.until,
                })
                .collect(),
            sessions: sessions.collect(),
            sign_in_addresses: held.clients.items,
            audit: audit
                .map(|entry| OwnEntryOut::new(entry, user_id))
                .collect(),
            cases: cases.map(CaseOut::from).collect(),
            orders: held.orders.items,
            events: held.events.items,
            vouchers: held.vouchers.items,
            notifications: held.notifications.items,
            cut: cut
                .iter()
                .filter(|(_, cut)| *cut)
                .map(|(name, _)| *name)
                .collect(),
        }
    }
}

impl SessionOut {
    fn new(session: &Session, epoch: i32, now: Timestamp) -> Self {
        let is_over = session.revoked || session.epoch != epoch || session.expires_at <= now;
        Self {
            signed_in_at: session.signed_in_at,
            expires_at: session.expires_at,
            ended: is_over,
        }
    }
}

impl OwnEntryOut {
    /// Who else it was, and from where, is not the person's to know.
    fn new(entry: Entry<String>, user_id: Uuid) -> Self {
        let deed = entry.deed;
        let is_others = deed.actor_id.is_some_and(|actor| actor != user_id);
        Self {
            at: entry.at,
            action: deed.action,
            outcome: entry.outcome.unwrap_or(Outcome::Unknown).as_str(),
            by_me: deed.actor_id == Some(user_id),
            client: deed
                .client
                .filter(|_| !is_others)
                .map(|client| client.to_string()),
        }
    }
}
