//! Vouchers of an event: its organizer's business. Nobody else learns which there are.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::{Code, ETag, IfMatch, Json, Page, PageQuery, Path, Problem};
use platform::money::Money;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::access::{self, Organizer};
use super::invalid;
use crate::app::App;
use crate::change_voucher::Next;
use crate::domain::event::{Event, Status};
use crate::domain::voucher::{
    MAX_VOUCHERS, Reduction, Terms, Voucher, VoucherKey, Wanted, code_rule,
};

/// Rows of one page that are read at once.
const READS_AT_ONCE: usize = 16;

/// What an organizer says about a voucher.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VoucherIn)]
pub struct VoucherIn {
    /// 1 to 40 letters from A to Z, digits, `-` and `_`. Small letters count as capitals.
    #[schema(example = "EARLY-10")]
    code: String,
    /// Hundredths of the sum of an order's lines, 1 to 100; rounded down to the minor unit. Either this or `amount_off`.
    #[schema(example = 10, minimum = 1, maximum = 100)]
    percent_off: Option<i64>,
    /// Taken off the sum of an order's lines, 1 to 100,000,000 minor units in the currency of the event. Either this or
    /// `percent_off`.
    #[schema(example = json!(null))]
    amount_off: Option<Money>,
    /// How many orders can have it, 1 to 1,000,000. Fewer than have it already: no more will.
    #[schema(minimum = 1, maximum = 1000000)]
    max_uses: i64,
    /// Orders from then on cannot have it; without it there is no end.
    valid_until: Option<Timestamp>,
}

/// A voucher.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Voucher)]
pub struct VoucherOut {
    /// In capitals.
    code: String,
    /// Hundredths of the sum of an order's lines.
    #[schema(required = true)]
    percent_off: Option<i64>,
    /// Taken off the sum of an order's lines.
    #[schema(required = true)]
    amount_off: Option<Money>,
    /// How many orders can have it.
    max_uses: i64,
    /// Orders that have it, as the box office counted them a moment ago: placed, and neither expired nor cancelled.
    uses: i64,
    /// Orders from then on cannot have it.
    #[schema(required = true)]
    valid_until: Option<Timestamp>,
    /// Grows with every change; the `ETag`.
    version: i64,
}

/// Make a voucher
///
/// Under a code that was deleted it goes on with the uses that it had.
#[utoipa::path(
    operation_id = "create_voucher",
    post, path = "/v1/events/{id}/vouchers", tag = "vouchers", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The event")),
    request_body = VoucherIn,
    responses(
        (status = 201, description = "The voucher", body = VoucherOut),
        (status = 409, description = "voucher-taken: the event has one with this code; sale-closed"),
    ),
)]
pub async fn create(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path(event_id): Path<Uuid>,
    Json(input): Json<VoucherIn>,
) -> Result<impl IntoResponse, Problem> {
    let event = own(&app, &caller, event_id).await?;
    let key = input.key(event_id)?;
    let terms = input.terms(&event)?;
    if app.vouchers.count(event_id).await? >= MAX_VOUCHERS {
        let detail = format!("an event has at most {MAX_VOUCHERS} codes, deleted ones among them");
        return Err(Problem::invalid("", "count", detail));
    }
    let made = app
        .change_voucher(&key, |known| match known {
            Some(_) => Err(Problem::new(Code::VoucherTaken)),
            None => Ok(Next {
                terms,
                is_deleted: false,
            }),
        })
        .await?;
    let location = format!("/v1/events/{event_id}/vouchers/{}", key.code);
    Ok((
        StatusCode::CREATED,
        ETag(made.version),
        [(header::LOCATION, location)],
        Json(shown(&app, made)),
    ))
}

/// List the vouchers of an event
///
/// In the order of their codes.
#[utoipa::path(
    operation_id = "list_vouchers",
    get, path = "/v1/events/{id}/vouchers", tag = "vouchers", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("limit" = Option<u16>, Query, description = "1 to 200, 50 by default"),
    ),
    responses((status = 200, description = "The vouchers", body = Page<VoucherOut>)),
)]
pub async fn list(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path(event_id): Path<Uuid>,
    page: PageQuery,
) -> Result<Json<Page<VoucherOut>>, Problem> {
    let event = app.events.find(event_id).await?;
    access::owns(&caller, &event.ok_or(Code::NotFound)?)?;
    let after: Option<String> = page.cursor()?;
    let limit = page.limit();
    let codes = app
        .vouchers
        .codes(event_id, after.as_deref(), limit + 1)
        .await?;
    let page = Page::cut(codes, limit, Clone::clone);
    let found: Vec<Option<Voucher>> = stream::iter(page.items)
        .map(|code| VoucherKey { event_id, code })
        .map(async |key| app.vouchers.find(&key).await)
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    // Deleted ones are left out, so that a page may have fewer than there is room for.
    let vouchers = found.into_iter().flatten();
    Ok(Json(Page {
        items: vouchers.map(|voucher| shown(&app, voucher)).collect(),
        next_cursor: page.next_cursor,
    }))
}

/// Change a voucher
///
/// Takes all fields, as they shall be; the code stays. Orders keep what they were made with. A change counts for orders
/// within about a second.
#[utoipa::path(
    operation_id = "change_voucher",
    put, path = "/v1/events/{id}/vouchers/{code}", tag = "vouchers", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("code" = String, Path, description = "The code"),
        ("If-Match" = String, Header, description = "The `ETag` of the voucher: its `version` as it was read"),
    ),
    request_body = VoucherIn,
    responses((status = 200, description = "The voucher as it is now", body = VoucherOut)),
)]
pub async fn change(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path((event_id, code)): Path<(Uuid, String)>,
    if_match: IfMatch,
    Json(input): Json<VoucherIn>,
) -> Result<impl IntoResponse, Problem> {
    let event = own(&app, &caller, event_id).await?;
    let key = VoucherKey::parse(event_id, &code).ok_or(Code::NotFound)?;
    let terms = input.terms(&event)?;
    if input.key(event_id)? != key {
        let detail = "a voucher keeps its code: delete it and make another one";
        return Err(Problem::invalid("/code", "fixed", detail));
    }
    let changed = app
        .change_voucher(&key, |known| {
            if_match.check(known.ok_or(Code::NotFound)?.version)?;
            Ok(Next {
                terms,
                is_deleted: false,
            })
        })
        .await?;
    Ok((ETag(changed.version), Json(shown(&app, changed))))
}

/// Delete a voucher
///
/// Orders that have it keep it.
#[utoipa::path(
    operation_id = "delete_voucher",
    delete, path = "/v1/events/{id}/vouchers/{code}", tag = "vouchers", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("code" = String, Path, description = "The code"),
        ("If-Match" = Option<String>, Header, description = "Delete this version and no other"),
    ),
    responses((status = 204, description = "It is gone")),
)]
pub async fn delete(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path((event_id, code)): Path<(Uuid, String)>,
    if_match: Option<IfMatch>,
) -> Result<StatusCode, Problem> {
    own(&app, &caller, event_id).await?;
    let key = VoucherKey::parse(event_id, &code).ok_or(Code::NotFound)?;
    app.change_voucher(&key, |known| {
        let known = known.ok_or(Code::NotFound)?;
        if_match
            .as_ref()
            .map_or(Ok(()), |it| it.check(known.version))?;
        Ok(Next {
            terms: known.terms,
            is_deleted: true,
        })
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The event, if the caller may change what it gives away.
async fn own(app: &App, caller: &Caller, event_id: Uuid) -> Result<Event, Problem> {
    let event = app.events.find(event_id).await?;
    let event = event.ok_or(Code::NotFound)?;
    access::owns(caller, &event)?;
    match event.status {
        Status::Draft | Status::Published => Ok(event),
        Status::Cancelled | Status::Archived => Err(Problem::new(Code::SaleClosed)
            .detail("a cancelled or archived event does not change any more")),
    }
}

impl VoucherIn {
    fn key(&self, event_id: Uuid) -> Result<VoucherKey, Problem> {
        VoucherKey::parse(event_id, &self.code)
            .ok_or_else(|| Problem::invalid("/code", "text", code_rule()))
    }

    fn terms(&self, event: &Event) -> Result<Terms, Problem> {
        let wanted = Wanted {
            percent_off: self.percent_off,
            amount_off: self.amount_off,
            max_uses: self.max_uses,
            valid_until: self.valid_until,
        };
        wanted
            .checked_for(event)
            .map_err(|violations| invalid(&violations))
    }
}

pub(super) fn shown(app: &App, voucher: Voucher) -> VoucherOut {
    let (percent_off, amount_off) = match voucher.terms.reduction {
        Reduction::Percent(percent) => (Some(percent), None),
        Reduction::Amount(amount) => (None, Some(amount)),
    };
    VoucherOut {
        uses: app.live_vouchers.uses(&voucher.key),
        code: voucher.key.code,
        percent_off,
        amount_off,
        max_uses: voucher.terms.max_uses,
        valid_until: voucher.terms.valid_until,
        version: voucher.version,
    }
}
