//! Support cases: customers open and read their own, support reads and answers all.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::client::Client;
use platform::http::problem::ProblemBody;
use platform::http::{Code, IfMatch, Json, Page, PageAmong, PageQuery, Path, Problem, Query};
use platform::ids::new_id;
use serde::Deserialize;
use uuid::Uuid;

use super::case_shapes::{CaseChangeIn, CaseIn, CaseOut, HeadOut, MessageIn, answer};
use super::find;
use super::staff::{DESK, Present};
use crate::app::App;
use crate::desk::Wanted;
use crate::domain::NotAllowed;
use crate::domain::audit::{Action, Deed};
use crate::domain::case::{Author, Case, Place, Status};

/// Which cases.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CasesIn {
    /// In this status: `open`, `pending` or `closed`.
    status: Option<String>,
    /// Of this customer; only support may ask for another one's.
    user_id: Option<Uuid>,
    /// Read by [`PageAmong`]; named here since other names are refused.
    #[serde(rename = "cursor")]
    #[param(ignore)]
    _cursor: Option<String>,
    #[serde(rename = "limit")]
    #[param(ignore)]
    _limit: Option<String>,
}

/// Open a case
///
/// An `order_id` must be one of the caller's own orders, which svc-checkout is asked: while it is away a case with one is
/// 503, and one without is opened.
#[utoipa::path(
    post, path = "/v1/support/cases", tag = "support", security(("bearer" = [])),
    request_body = CaseIn,
    responses(
        (status = 201, body = CaseOut, headers(("ETag" = String))),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 404, description = "`not-found`: the user was erased", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn open_case(
    State(app): State<App>,
    Client(client): Client,
    caller: Caller,
    Json(wanted): Json<CaseIn>,
) -> Result<impl IntoResponse, Problem> {
    let now = Timestamp::now_millis();
    let case = wanted.check(new_id(), caller.user_id, now)?;
    app.limits.case_message(caller.user_id)?;
    // A question, a read and three writes: large, and so apart.
    let opened = Box::pin(async {
        if let Some(order_id) = case.head.order_id {
            check_order(&app, caller.user_id, order_id).await?;
        }
        let is_there = async { find(&app, caller.user_id).await.map(drop) };
        app.desk.open(&case, is_there).await
    });
    let deed = Deed::own(caller.user_id, Action::CaseOpened, client);
    app.trail.around(deed, opened).await?;
    Ok((StatusCode::CREATED, answer(case)))
}

async fn check_order(app: &App, user_id: Uuid, order_id: Uuid) -> Result<(), Problem> {
    match app.checkout.has_order(user_id, order_id).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let detail = "the id of one of your own orders";
            Err(Problem::invalid("/order_id", "unknown", detail))
        }
        Err(error) => Err(Problem::unavailable(error)
            .detail("orders cannot be looked up at the moment: leave order_id out, or try again")),
    }
}

/// Cases, newest first: one's own; support and admin see all
///
/// Without their messages. A page may have fewer than `limit` items, even none, and still not be the last one.
#[utoipa::path(
    get, path = "/v1/support/cases", tag = "support", security(("bearer" = [])),
    params(CasesIn, PageQuery),
    responses(
        (status = 200, body = Page<HeadOut>),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 403, description = "`forbidden`: another customer's, for support", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn list_cases(
    State(app): State<App>,
    Client(client): Client,
    Present(caller): Present,
    Query(query): Query<CasesIn>,
    PageAmong(page): PageAmong,
) -> Result<Json<Page<HeadOut>>, Problem> {
    let status = query.status.as_deref().map(Status::parse).transpose();
    let wanted = Wanted {
        user_id: query.user_id,
        status: status
            .map_err(|NotAllowed { rule, allowed }| Problem::invalid("?status", rule, allowed))?,
    };
    let before = match page.cursor::<(i64, Uuid)>()? {
        Some((millis, id)) => Place {
            opened_at: Timestamp::from_millis(millis),
            id,
        },
        None => Place::newest(Timestamp::now()),
    };
    let wanted = if caller.roles.contains_any(&DESK) {
        let deed = Deed::by(caller.user_id, Action::CasesListed, wanted.user_id, client);
        app.trail.record(deed).await?;
        wanted
    } else if wanted.user_id.is_none_or(|id| id == caller.user_id) {
        Wanted {
            user_id: Some(caller.user_id),
            ..wanted
        }
    } else {
        let deed = Deed::by(caller.user_id, Action::Denied, wanted.user_id, client);
        app.trail.record(deed).await?;
        return Err(Problem::new(Code::Forbidden));
    };
    let (cases, next) = app.desk.list(wanted, before, page.limit()).await?;
    let next = next.map(|place| (place.opened_at.as_millis(), place.id));
    Ok(Json(Page::new(cases, next.as_ref()).map(HeadOut::from)))
}

/// One case: one's own; support and admin see all
#[utoipa::path(
    get, path = "/v1/support/cases/{id}", tag = "support", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = CaseOut, headers(("ETag" = String))),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 404, description = "`not-found`: not there, or not yours", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn show_case(
    State(app): State<App>,
    Client(client): Client,
    Present(caller): Present,
    Path(id): Path<Uuid>,
) -> Result<impl IntoResponse, Problem> {
    let case = app.desk.cases.find(id).await?.ok_or(Code::NotFound)?;
    if let Author::Support = part_of(&caller, &case)? {
        let deed = Deed::by(caller.user_id, Action::CaseSeen, case.head.user_id, client);
        app.trail.record(deed).await?;
    }
    Ok(answer(case))
}

/// Say whose turn it is
///
/// Customers close their own cases and open them again; that it is their turn (`pending`) is for support to say.
#[utoipa::path(
    patch, path = "/v1/support/cases/{id}", tag = "support", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The ETag that was seen, if it matters"),
    ),
    request_body = CaseChangeIn,
    responses(
        (status = 200, body = CaseOut, headers(("ETag" = String))),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 403, description = "`forbidden`: `pending`, for support", body = ProblemBody),
        (status = 404, description = "`not-found`: not there, or not yours", body = ProblemBody),
        (status = 412, description = "`stale`", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn change_case(
    State(app): State<App>,
    Client(client): Client,
    Present(caller): Present,
    Path(id): Path<Uuid>,
    if_match: Option<IfMatch>,
    Json(wanted): Json<CaseChangeIn>,
) -> Result<impl IntoResponse, Problem> {
    let status = wanted.check()?;
    let now = Timestamp::now_millis();
    let (case, part) = case_to_change(&app, &caller, id).await?;
    let deed = Deed::by(
        caller.user_id,
        Action::CaseChanged,
        case.head.user_id,
        client,
    );
    let changed = app.desk.change(case, |case| {
        if (part, status) == (Author::Customer, Status::Pending) {
            let detail = "open or closed; whose turn it is otherwise is for support to say";
            return Err(Problem::new(Code::Forbidden).detail(detail));
        }
        if let Some(if_match) = &if_match {
            if_match.check(case.head.version)?;
        }
        Ok(case.with_status(status, now))
    });
    let case = app.trail.around(deed, changed).await?;
    Ok(answer(case))
}

/// Write to support, or answer
///
/// Then it is the other's turn: a customer's message opens the case, also a closed one, support's makes it `pending`.
#[utoipa::path(
    post, path = "/v1/support/cases/{id}/messages", tag = "support", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    request_body = MessageIn,
    responses(
        (status = 201, body = CaseOut, headers(("ETag" = String))),
        (status = 401, description = "`unauthenticated`, `token-expired`", body = ProblemBody),
        (status = 404, description = "`not-found`: not there, or not yours", body = ProblemBody),
        (status = 409, description = "`case-full`: it has 100 messages", body = ProblemBody),
        (status = 412, description = "`stale`: others write faster", body = ProblemBody),
        (status = 422, description = "`invalid`", body = ProblemBody),
        (status = 429, description = "`too-many-requests`", body = ProblemBody),
        (status = 503, description = "`unavailable`", body = ProblemBody),
    )
)]
pub async fn write_message(
    State(app): State<App>,
    Client(client): Client,
    Present(caller): Present,
    Path(id): Path<Uuid>,
    Json(wanted): Json<MessageIn>,
) -> Result<impl IntoResponse, Problem> {
    let text = wanted.check()?;
    if !caller.roles.contains_any(&DESK) {
        app.limits.case_message(caller.user_id)?;
    }
    let now = Timestamp::now_millis();
    let (case, author) = case_to_change(&app, &caller, id).await?;
    let deed = Deed::by(
        caller.user_id,
        Action::CaseWritten,
        case.head.user_id,
        client,
    );
    let changed = app.desk.change(case, |case| {
        Ok::<_, Problem>(case.with_message(author, text.clone(), now)?)
    });
    let case = app.trail.around(deed, changed).await?;
    Ok((StatusCode::CREATED, answer(case)))
}

/// What the caller is in the case; 404 where it is nobody's business of his. Whoever works at the desk and asks for help is
/// a customer of his own case.
fn part_of(caller: &Caller, case: &Case) -> Result<Author, Problem> {
    if case.head.user_id == caller.user_id {
        Ok(Author::Customer)
    } else if caller.roles.contains_any(&DESK) {
        Ok(Author::Support)
    } else {
        Err(Problem::new(Code::NotFound))
    }
}

/// The newest version of a case that the caller is about to change, and what the caller is in it.
async fn case_to_change(app: &App, caller: &Caller, id: Uuid) -> Result<(Case, Author), Problem> {
    let case = app.desk.cases.find_newest(id).await?;
    let case = case.ok_or(Code::NotFound)?;
    let part = part_of(caller, &case)?;
    Ok((case, part))
}
