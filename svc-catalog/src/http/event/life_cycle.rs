//! The steps of an event's life. Each one is there once: taking it again changes nothing.

use axum::extract::State;
use axum::response::IntoResponse;
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::{Code, ETag, IfMatch, Json, Path, Problem};
use uuid::Uuid;

use super::EventOut;
use crate::app::App;
use crate::domain::event::Event;
use crate::http::access::{self, Organizer};

/// Takes the event one step further; `None` from `step`: it has been taken.
async fn take(
    app: &App,
    caller: &Caller,
    id: Uuid,
    if_match: Option<&IfMatch>,
    step: impl Fn(&Event) -> Result<Option<Event>, Problem>,
) -> Result<(ETag, Json<EventOut>), Problem> {
    let event = app
        .change(id, |event| {
            access::owns(caller, event)?;
            let next = step(event)?;
            if let (Some(_), Some(if_match)) = (&next, if_match) {
                if_match.check(event.version)?;
            }
            Ok(next)
        })
        .await?;
    Ok((ETag(event.version), Json(EventOut::from(event))))
}

/// Publish an event
///
/// From now on everyone sees it and it is on sale. It needs a ticket type and an end in the future. Publishing it again
/// changes nothing.
#[utoipa::path(
    operation_id = "publish_event",
    post, path = "/v1/events/{id}/publish", tag = "events", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("If-Match" = Option<String>, Header, description = "Publish this version and no other"),
    ),
    responses(
        (status = 200, description = "The published event", body = EventOut),
    ),
)]
pub async fn publish(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path(id): Path<Uuid>,
    if_match: Option<IfMatch>,
) -> Result<impl IntoResponse, Problem> {
    let now = Timestamp::now();
    take(&app, &caller, id, if_match.as_ref(), |event| {
        event
            .publish(now)
            .map_err(|reason| Problem::new(Code::NotPublishable).detail(reason.to_string()))
    })
    .await
}

/// Cancel an event
///
/// For good. Nothing of it is sold from now on; orders that are not paid are cancelled, paid ones are refunded in the
/// minutes that follow. Only a published event can be cancelled. Cancelling it again changes nothing.
#[utoipa::path(
    operation_id = "cancel_event",
    post, path = "/v1/events/{id}/cancel", tag = "events", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("If-Match" = Option<String>, Header, description = "Cancel this version and no other"),
    ),
    responses(
        (status = 200, description = "The cancelled event", body = EventOut),
    ),
)]
pub async fn cancel(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path(id): Path<Uuid>,
    if_match: Option<IfMatch>,
) -> Result<impl IntoResponse, Problem> {
    take(&app, &caller, id, if_match.as_ref(), |event| {
        event
            .cancel()
            .map_err(|reason| Problem::new(Code::SaleClosed).detail(reason.to_string()))
    })
    .await
}

/// Archive an event
///
/// Nothing of it is sold from now on and it is in no list any more; tickets stay valid. Only a published event can be
/// archived. Archiving it again changes nothing.
#[utoipa::path(
    operation_id = "archive_event",
    post, path = "/v1/events/{id}/archive", tag = "events", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("If-Match" = Option<String>, Header, description = "Archive this version and no other"),
    ),
    responses(
        (status = 200, description = "The archived event", body = EventOut),
    ),
)]
pub async fn archive(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path(id): Path<Uuid>,
    if_match: Option<IfMatch>,
) -> Result<impl IntoResponse, Problem> {
    take(&app, &caller, id, if_match.as_ref(), |event| {
        event
            .archive()
            .map_err(|reason| Problem::new(Code::SaleClosed).detail(reason.to_string()))
    })
    .await
}
