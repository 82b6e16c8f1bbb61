//! The audit trail, for admins.

use axum::extract::State;
use platform::clock::Timestamp;
use platform::http::problem::ProblemBody;
use platform::http::{Json, Page, PageQuery, Problem};
use serde::Serialize;
use uuid::Uuid;

use super::staff::Admin;
use crate::app::App;
use crate::domain::audit::{Deed, Entry, Outcome, Place};

/// One thing that was done, or tried.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
pub struct EntryOut {
    id: Uuid,
    at: Timestamp,
    /// `registered`, `signed-in`, `sign-in-failed`, `signed-out`, `refresh-token-reused`, `profile-changed`,
    /// `password-changed`, `password-change-failed`, `password-reset-asked`, `password-reset`, `email-change-asked`,
    /// `email-change-failed`, `email-changed`, `email-verified`,
    /// `roles-changed`, `erased`, `exported`,
    /// `case-opened`, `case-written`, `case-changed`, `case-seen`,
    /// `cases-listed`, `customer-seen`, `denied`, `keys-rotated`, `keys-withdrawn`.
    #[schema(example = "roles-changed")]
    action: String,
    /// Who did it: who was signed in, or the user to whom a link in a mail was sent. Else null.
    #[schema(required = true)]
    actor_id: Option<Uuid>,
    /// Whom it is about; null when that is no user.
    #[schema(required = true)]
    user_id: Option<Uuid>,
    /// The client's address, as the gateway saw it.
    #[schema(required = true, example = "203.0.113.7")]
    client: Option<String>,
    /// As the caller chose it, at most 128 visible ASCII characters, or else ours. It leads to the log and proves nothing;
    /// `id`, `at` and `client` are ours.
    #[schema(required = true)]
    request_id: Option<String>,
    /// `done`, `refused`, or `unknown`: it was begun, and may have happened.
    #[schema(example = "done")]
    outcome: &'static str,
}

impl From<Entry<String>> for EntryOut {
    fn from(entry: Entry<String>) -> Self {
        let Deed {
            action,
            actor_id,
            user_id,
            client,
        } = entry.deed;
        Self {
            id: entry.id,
            at: entry.at,
            action,
            actor_id,
            user_id,
            client: client.map(|client| client.to_string()),
            request_id: entry.request_id,
            outcome: entry.outcome.unwrap_or(Outcome::Unknown).as_str(),
        }
    }
}

/// Who did what
///
/// Newest first. A page may have fewer than `limit` items, even none, and still not be the last one.
#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", security(("bearer" = [])),
    params(PageQuery),
    responses(
        (status = 200, body = Page<EntryOut>),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 403, description = "`forbidden`: for admins", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
    )
)]
pub async fn list_audit(
    State(app): State<App>,
    _: Admin,
    page: PageQuery,
) -> Result<Json<Page<EntryOut>>, Problem> {
    let now = Timestamp::now();
    let before = match page.cursor::<(i64, Uuid)>()? {
        Some((millis, id)) => Place {
            at: Timestamp::from_millis(millis),
            id,
        },
        // What is written in this moment by an instance whose clock is ahead belongs to the next look.
        None => Place {
            at: now,
            id: Uuid::max(),
        },
    };
    let found = app.trail.entries.page(before, page.limit(), now).await;
    let (entries, next) = found?;
    let next = next.map(|place| (place.at.as_millis(), place.id));
    Ok(Json(Page::new(entries, next.as_ref()).map(EntryOut::from)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::Action;
    use utoipa::PartialSchema as _;

    #[test]
    fn the_document_names_every_action() {
        let schema = serde_json::to_string(&EntryOut::schema()).unwrap();
        for action in Action::ALL {
            let name = format!("`{}`", action.as_str());
            assert!(schema.contains(&name), "{name}");
        }
    }
}
