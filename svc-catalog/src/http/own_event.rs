//! What an organizer has: for himself, and for svc-identity when he wants to know what is held about him.

use axum::extract::State;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::auth::{ServiceCaller, service_id};
use platform::http::{Code, Json, Page, PageQuery, Path, Problem};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::access::Organizer;
use super::event::EventOut;
use super::voucher::{self, VoucherOut};
use crate::app::App;
use crate::domain::voucher::{Voucher, VoucherKey};

/// Who alone may ask for another's.
const IDENTITY: &str = "svc-identity";
/// Rows of one page that are read at once.
const READS_AT_ONCE: usize = 16;
/// Events whose vouchers one page looks for: each is a read, and most have none.
const EVENTS_OF_A_PAGE: usize = 100;

/// List my events
///
/// Those of the caller, drafts included, newest first. Deleted drafts are left out, so that a page may have fewer than there
/// is room for, and a next one.
#[utoipa::path(
    operation_id = "list_own_events",
    get, path = "/v1/organizers/me/events", tag = "events", security(("bearer" = [])),
    params(
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "1 to 200, 50 by default"),
    ),
    responses((status = 200, description = "The events", body = Page<EventOut>)),
)]
pub async fn list(
    State(app): State<App>,
    Organizer(caller): Organizer,
    page: PageQuery,
) -> Result<Json<Page<EventOut>>, Problem> {
    page_of(&app, caller.user_id, &page).await
}

/// `GET /internal/users/{id}/events`: what `GET /v1/organizers/me/events` answers to the user.
pub async fn list_of_user(
    State(app): State<App>,
    caller: ServiceCaller,
    Path(user_id): Path<Uuid>,
    page: PageQuery,
) -> Result<Json<Page<EventOut>>, Problem> {
    only_identity(&caller)?;
    page_of(&app, user_id, &page).await
}

async fn page_of(
    app: &App,
    user_id: Uuid,
    page: &PageQuery,
) -> Result<Json<Page<EventOut>>, Problem> {
    let (after, limit) = (page.cursor::<Uuid>()?, page.limit());
    let ids = app.by_organizer.list(user_id, after, limit + 1).await?;
    let page = Page::cut(ids, limit, |id| *id);
    let found: Vec<_> = stream::iter(page.items)
        .map(|id| app.events.find(id))
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(Json(Page {
        items: found.into_iter().flatten().map(EventOut::from).collect(),
        next_cursor: page.next_cursor,
    }))
}

/// A voucher, and whose it is.
#[derive(Debug, Serialize)]
pub struct OwnVoucherOut {
    event_id: Uuid,
    #[serde(flatten)]
    voucher: VoucherOut,
}

/// Where the next page begins: behind this code of the event, or behind the event.
#[derive(Serialize, Deserialize)]
pub struct Cursor(Uuid, Option<String>);

/// `GET /internal/users/{id}/vouchers`: those of all events of the user, as `GET /v1/events/{id}/vouchers` shows them, each
/// with its `event_id`. A page may have fewer than there is room for, even none, and a next one.
pub async fn vouchers_of_user(
    State(app): State<App>,
    caller: ServiceCaller,
    Path(user_id): Path<Uuid>,
    page: PageQuery,
) -> Result<Json<Page<OwnVoucherOut>>, Problem> {
    only_identity(&caller)?;
    let limit = page.limit();
    let (keys, next) = voucher_keys(&app, user_id, page.cursor()?, limit).await?;
    let found: Vec<Option<Voucher>> = stream::iter(keys)
        .map(async |key| app.vouchers.find(&key).await)
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    let vouchers = found.into_iter().flatten().map(|voucher| OwnVoucherOut {
        event_id: voucher.key.event_id,
        voucher: voucher::shown(&app, voucher),
    });
    Ok(Json(Page::new(vouchers.collect(), next.as_ref())))
}

/// Up to `limit` codes of the user's events, and where those behind them begin.
pub async fn voucher_keys(
    app: &App,
    user_id: Uuid,
    from: Option<Cursor>,
    limit: usize,
) -> Result<(Vec<VoucherKey>, Option<Cursor>), Problem> {
    let behind = from.as_ref().map(|Cursor(event, _)| *event);
    let listed = app
        .by_organizer
        .list(user_id, behind, EVENTS_OF_A_PAGE)
        .await?;
    let last = listed.last().filter(|_| listed.len() == EVENTS_OF_A_PAGE);
    let next = last.map(|last| Cursor(*last, None));
    let begun = from.and_then(|Cursor(event, code)| Some((event, Some(code?))));
    let events = begun
        .into_iter()
        .chain(listed.into_iter().map(|event| (event, None)));
    // One more shows that there is more.
    let codes: Vec<Vec<VoucherKey>> = stream::iter(events)
        .map(|(event_id, after)| async move {
            let codes = app
                .vouchers
                .codes(event_id, after.as_deref(), limit + 1)
                .await?;
            let key = |code| VoucherKey { event_id, code };
            Ok::<_, Problem>(codes.into_iter().map(key).collect())
        })
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    let mut keys = codes.concat();
    if keys.len() <= limit {
        return Ok((keys, next));
    }
    keys.truncate(limit);
    let last = keys
        .last()
        .map(|key| Cursor(key.event_id, Some(key.code.clone())));
    Ok((keys, last))
}

fn only_identity(caller: &ServiceCaller) -> Result<(), Problem> {
    match caller.service_id == service_id(IDENTITY) {
        true => Ok(()),
        false => Err(Problem::new(Code::Forbidden)),
    }
}
