//! What was sent to whom.

use axum::extract::State;
use platform::auth::{Caller, Role, ServiceCaller, service_id};
use platform::clock::Timestamp;
use platform::http::{Code, Json, Page, PageAmong, PageQuery, Path, Problem, Query};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::{App, AppState};
use crate::domain::notification::{Notification, Status};
use crate::store::notification_list::Entry;
use crate::store::notification_search::Search;

/// Who sees everybody's messages.
const ALL_SEEING: [Role; 2] = [Role::Support, Role::Admin];
/// Who alone may ask for a user's.
const IDENTITY: &str = "svc-identity";
/// Longest address (RFC 5321, 4.5.3.1.3).
const MAX_RECIPIENT_LEN: usize = 254;

/// Which messages.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NotificationsIn {
    /// About this order.
    order_id: Option<Uuid>,
    /// About this event.
    event_id: Option<Uuid>,
    /// To this user, or to this address.
    #[param(max_length = 254)]
    recipient: Option<String>,
    /// In this state: queued, sent or failed.
    status: Option<String>,
    /// Read by [`PageAmong`]; named here since other names are refused.
    #[serde(rename = "cursor")]
    #[param(ignore)]
    _cursor: Option<String>,
    #[serde(rename = "limit")]
    #[param(ignore)]
    _limit: Option<String>,
}

/// A message and what became of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Notification)]
pub struct NotificationOut {
    id: Uuid,
    /// `email`.
    #[schema(example = "email")]
    r#type: &'static str,
    /// What it says.
    #[schema(example = "payment-confirmed")]
    template: &'static str,
    /// BCP 47; null before the first attempt.
    #[schema(required = true, example = "en")]
    language: Option<String>,
    /// Addresses; none before the first attempt, or after the recipient was erased.
    recipients: Vec<String>,
    /// Null before the first attempt, or after the recipient was erased.
    #[schema(required = true)]
    subject: Option<String>,
    /// The text part; null like the subject.
    #[schema(required = true)]
    message: Option<String>,
    /// `queued`, `sent` or `failed`.
    #[schema(example = "sent")]
    status: &'static str,
    /// Attempts begun.
    attempts: i32,
    /// Why the last attempt did not get through.
    #[schema(required = true, example = "smtp 550 5.1.1")]
    reason: Option<String>,
    /// The order it is about.
    #[schema(required = true)]
    order_id: Option<Uuid>,
    /// The event it is about.
    #[schema(required = true)]
    event_id: Option<Uuid>,
    created_at: Timestamp,
    /// When the mail server took it.
    #[schema(required = true)]
    sent_at: Option<Timestamp>,
}

impl From<Notification> for NotificationOut {
    fn from(message: Notification) -> Self {
        let (language, recipient, subject, text) = match message.content {
            Some(said) => (
                Some(said.language),
                Some(said.recipient),
                Some(said.subject),
                Some(said.text),
            ),
            None => (None, None, None, None),
        };
        Self {
            id: message.id,
            r#type: message.kind.as_str(),
            template: message.cause.template().as_str(),
            language,
            recipients: recipient.into_iter().collect(),
            subject,
            message: text,
            status: message.status.as_str(),
            attempts: message.attempts,
            reason: message.reason,
            order_id: message.cause.order_id(),
            event_id: message.cause.event_id(),
            created_at: message.created_at,
            sent_at: message
                .settled_at
                .filter(|_| message.status == Status::Sent),
        }
    }
}

/// Messages, newest first: one's own; support and admin see all.
///
/// Filters can be combined. A page that had to look at many messages may hold fewer than `limit`, even none, and still
/// have a next one.
#[utoipa::path(
    get,
    path = "/v1/notifications",
    tag = "notifications",
    params(NotificationsIn, PageQuery),
    responses((status = 200, body = Page<NotificationOut>)),
    security(("bearer" = []))
)]
pub async fn list_notifications(
    State(AppState(app)): State<AppState>,
    caller: Caller,
    Query(query): Query<NotificationsIn>,
    PageAmong(page): PageAmong,
) -> Result<Json<Page<NotificationOut>>, Problem> {
    let search = query.into_search(&caller)?;
    found(&app, &search, &page).await
}

/// `GET /internal/users/{id}/notifications`: svc-identity asks for who wants to know what is held about him.
pub async fn list_of_user(
    State(AppState(app)): State<AppState>,
    caller: ServiceCaller,
    Path(user_id): Path<Uuid>,
    page: PageQuery,
) -> Result<Json<Page<NotificationOut>>, Problem> {
    if caller.service_id != service_id(IDENTITY) {
        return Err(Code::Forbidden.into());
    }
    let search = Search {
        user_id: Some(user_id),
        ..Search::default()
    };
    found(&app, &search, &page).await
}

/// A page of what is searched.
async fn found(
    app: &App,
    search: &Search,
    page: &PageQuery,
) -> Result<Json<Page<NotificationOut>>, Problem> {
    let after = match page.cursor::<Cursor>()? {
        Some(Cursor(millis, id)) => Entry {
            at: Timestamp::from_millis(millis),
            id,
        },
        None => Entry::TOP,
    };
    let delivery = &app.delivery;
    let found = search
        .page(
            &delivery.lists,
            &delivery.notifications,
            after,
            page.limit(),
            Timestamp::now(),
        )
        .await?;
    let items = found
        .messages
        .into_iter()
        .map(NotificationOut::from)
        .collect();
    let next = found
        .next
        .map(|entry| Cursor(entry.at.as_millis(), entry.id));
    Ok(Json(Page::new(items, next.as_ref())))
}

/// One message: one's own; support and admin see all.
#[utoipa::path(
    get,
    path = "/v1/notifications/{id}",
    tag = "notifications",
    params(("id" = Uuid, Path, description = "The message.")),
    responses((status = 200, body = NotificationOut)),
    security(("bearer" = []))
)]
pub async fn show_notification(
    State(AppState(app)): State<AppState>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<NotificationOut>, Problem> {
    let found = app.delivery.notifications.find(id).await?;
    match found {
        Some(message) if may_see(&caller, &message) => Ok(Json(message.into())),
        _ => Err(Code::NotFound.into()),
    }
}

/// Where the next page begins: milliseconds and id.
#[derive(Serialize, Deserialize)]
struct Cursor(i64, Uuid);

impl NotificationsIn {
    fn into_search(self, caller: &Caller) -> Result<Search, Problem> {
        let mut search = Search {
            order_id: self.order_id,
            event_id: self.event_id,
            ..Search::default()
        };
        if let Some(status) = self.status {
            let unknown = |_| Problem::invalid("?status", "unknown", "queued, sent or failed");
            search.status = Some(status.parse().map_err(unknown)?);
        }
        if let Some(recipient) = self.recipient {
            match recipient.parse::<Uuid>() {
                Ok(id) => search.user_id = Some(id),
                Err(_) if recipient.contains('@') && recipient.len() <= MAX_RECIPIENT_LEN => {
                    search.address = Some(recipient.to_lowercase());
                }
                Err(_) => {
                    let detail = "a user's id, or an e-mail address of at most 254 bytes";
                    return Err(Problem::invalid("?recipient", "invalid", detail));
                }
            }
        }
        if !caller.roles.contains_any(&ALL_SEEING) {
            if search.user_id.is_some_and(|id| id != caller.user_id) {
                return Err(Code::Forbidden.into());
            }
            search.user_id = Some(caller.user_id);
        }
        Ok(search)
    }
}

fn may_see(caller: &Caller, message: &Notification) -> bool {
    message.cause.user_id() == caller.user_id || caller.roles.contains_any(&ALL_SEEING)
}
