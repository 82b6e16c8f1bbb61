//! Events.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use platform::auth::OptionalCaller;
use platform::clock::Timestamp;
use platform::http::{Code, ETag, IfMatch, IfNoneMatch, Json, Path, Problem};
use platform::ids::new_id;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::access::{self, Organizer, Seen};
use super::kept::by_caller;
use super::moment::{Moment, check_clocks};
use super::ticket_type::TicketTypeOut;
use super::{invalid, not_changed};
use crate::app::App;
use crate::domain::event::{Details, Event, Status, Venue};

pub mod life_cycle;

/// What an organizer says about an event.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EventIn)]
pub struct EventIn {
    /// Title, 1 to 200 characters.
    #[schema(example = "Spring concert", min_length = 1, max_length = 200)]
    name: String,
    /// `concert`, `theatre`, …; 1 to 40 characters.
    #[schema(example = "concert", min_length = 1, max_length = 40)]
    r#type: String,
    /// Plain text, at most 5,000 characters.
    #[schema(max_length = 5000)]
    description: String,
    /// Place.
    venue: VenueIo,
    /// Start, not later than ten years from now. Kept to the millisecond. No time that clocks in `time_zone` skip.
    #[schema(value_type = Timestamp)]
    starts_at: Moment,
    /// End, after the start and at most 366 days later. No time that clocks in `time_zone` skip.
    #[schema(value_type = Timestamp)]
    ends_at: Moment,
    /// IANA zone of the place.
    #[schema(example = "Europe/Paris")]
    time_zone: String,
    /// People that the place has room for, 1 to 1,000,000; all ticket types together sell no more.
    #[schema(minimum = 1, maximum = 1000000)]
    capacity: Option<i64>,
    /// A picture: an https:// address, without user and password. Browsers fetch it, this service never does.
    #[schema(max_length = 2048)]
    image_url: Option<String>,
    /// Whether who cancels the attendance gives the seat back, for somebody else to buy; false by default. The ticket is
    /// dead then and no money moves.
    attendance_releases_seat: Option<bool>,
}

/// Where an event takes place.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Venue)]
pub struct VenueIo {
    /// Name of the house, 1 to 200 characters.
    #[schema(example = "Old Mill", min_length = 1, max_length = 200)]
    name: String,
    /// City, 1 to 200 characters.
    #[schema(example = "Lyon", min_length = 1, max_length = 200)]
    city: String,
    /// Street address, 1 to 200 characters.
    #[schema(example = "1 rue du Moulin", min_length = 1, max_length = 200)]
    address: String,
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventOut {
    /// Id.
    id: Uuid,
    /// Title.
    name: String,
    /// `concert`, `theatre`, …
    r#type: String,
    /// Plain text.
    description: String,
    /// Place.
    venue: VenueIo,
    /// Start.
    starts_at: Timestamp,
    /// End.
    ends_at: Timestamp,
    /// IANA zone of the place.
    time_zone: String,
    /// People that the place has room for.
    #[schema(required = true)]
    capacity: Option<i64>,
    /// A picture.
    #[schema(required = true)]
    image_url: Option<String>,
    /// Whether who cancels the attendance gives the seat back.
    attendance_releases_seat: bool,
    /// Where it is in its life.
    status: StatusOut,
    /// Owner.
    organizer_id: Uuid,
    /// What it sells, in the order in which it was made.
    ticket_types: Vec<TicketTypeOut>,
    /// Grows by one with every change of the event or its ticket types; the `ETag`.
    version: i64,
}

/// Where an event is in its life.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EventStatus)]
pub enum StatusOut {
    /// Seen by its owner alone.
    Draft,
    /// Seen by everyone, and on sale.
    Published,
    /// Will not take place.
    Cancelled,
    /// Over and put away.
    Archived,
}

/// Make an event
///
/// It is a draft: nobody else sees it before it is published.
#[utoipa::path(
    operation_id = "create_event",
    post, path = "/v1/events", tag = "events", security(("bearer" = [])),
    request_body = EventIn,
    responses(
        (status = 201, description = "The draft", body = EventOut),
    ),
)]
pub async fn create(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Json(input): Json<EventIn>,
) -> Result<impl IntoResponse, Problem> {
    input.check_clocks()?;
    let event = Event::draft(new_id(), caller.user_id, input.into(), Timestamp::now())
        .map_err(|violations| invalid(&violations))?;
    app.create(&event).await?;
    let location = [(header::LOCATION, format!("/v1/events/{}", event.id))];
    Ok((
        StatusCode::CREATED,
        ETag(event.version),
        location,
        Json(EventOut::from(event)),
    ))
}

/// Get an event
///
/// A draft is there for its owner alone. Who has signed in gets it with every change that was answered; for everyone else a
/// change may take a second.
#[utoipa::path(
    operation_id = "find_event",
    get, path = "/v1/events/{id}", tag = "events", security((), ("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the client has"),
    ),
    responses(
        (status = 200, description = "The event", body = EventOut),
        (status = 304, description = "The client has it"),
    ),
)]
pub async fn find(
    State(app): State<App>,
    OptionalCaller(caller): OptionalCaller,
    Path(id): Path<Uuid>,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    let Seen { event, keep } = access::visible(&app, caller.as_ref(), id).await?;
    let tag = event.event.version.to_string();
    let answer = if_none_match.answer(&tag, keep, || {
        let json = [(header::CONTENT_TYPE, "application/json")];
        (json, event.json(event_json))
    });
    Ok(by_caller(answer))
}

/// An event as it is answered.
pub(super) fn event_json(event: &Event) -> Bytes {
    let json = serde_json::to_vec(&EventOut::from(event.clone()));
    Bytes::from(json.expect("texts and numbers can be written as JSON"))
}

/// Change an event
///
/// Takes all fields, as they shall be. Tickets that were bought stay what they are.
#[utoipa::path(
    operation_id = "change_event",
    put, path = "/v1/events/{id}", tag = "events", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("If-Match" = String, Header, description = "The `ETag` of the event as it was read"),
    ),
    request_body = EventIn,
    responses(
        (status = 200, description = "The event as it is now", body = EventOut),
    ),
)]
pub async fn change(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path(id): Path<Uuid>,
    if_match: IfMatch,
    Json(input): Json<EventIn>,
) -> Result<impl IntoResponse, Problem> {
    input.check_clocks()?;
    let details = Details::from(input);
    let now = Timestamp::now();
    let event = app
        .change(id, |event| {
            access::owns(&caller, event)?;
            if_match.check(event.version)?;
            event
                .change_details(details.clone(), now)
                .map_err(not_changed)
        })
        .await?;
    Ok((ETag(event.version), Json(EventOut::from(event))))
}

/// Delete a draft
///
/// Only a draft can be deleted: nobody has bought anything of it. A published event is cancelled or archived.
#[utoipa::path(
    operation_id = "delete_event",
    delete, path = "/v1/events/{id}", tag = "events", security(("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("If-Match" = Option<String>, Header, description = "Delete this version and no other"),
    ),
    responses(
        (status = 204, description = "It is gone"),
    ),
)]
pub async fn delete(
    State(app): State<App>,
    Organizer(caller): Organizer,
    Path(id): Path<Uuid>,
    if_match: Option<IfMatch>,
) -> Result<StatusCode, Problem> {
    app.delete(id, |event| {
        access::owns(&caller, event)?;
        if event.status != Status::Draft {
            let detail = "only a draft can be deleted: cancel or archive the event";
            return Err(Problem::new(Code::HasOrders).detail(detail));
        }
        if_match
            .as_ref()
            .map_or(Ok(()), |it| it.check(event.version))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

impl EventIn {
    fn check_clocks(&self) -> Result<(), Problem> {
        let (start, end) = (Some(self.starts_at), Some(self.ends_at));
        check_clocks(&self.time_zone, &[("/starts_at", start), ("/ends_at", end)])
    }
}

impl From<EventIn> for Details {
    fn from(input: EventIn) -> Self {
        Self {
            name: input.name,
            kind: input.r#type,
            description: input.description,
            venue: Venue {
                name: input.venue.name,
                city: input.venue.city,
                address: input.venue.address,
            },
            starts_at: input.starts_at.at,
            ends_at: input.ends_at.at,
            time_zone: input.time_zone,
            capacity: input.capacity,
            image_url: input.image_url,
            attendance_releases_seat: input.attendance_releases_seat.unwrap_or(false),
        }
    }
}

impl From<Event> for EventOut {
    fn from(event: Event) -> Self {
        let details = event.details;
        Self {
            id: event.id,
            name: details.name,
            r#type: details.kind,
            description: details.description,
            venue: VenueIo {
                name: details.venue.name,
                city: details.venue.city,
                address: details.venue.address,
            },
            starts_at: details.starts_at,
            ends_at: details.ends_at,
            time_zone: details.time_zone,
            capacity: details.capacity,
            image_url: details.image_url,
            attendance_releases_seat: details.attendance_releases_seat,
            status: event.status.into(),
            organizer_id: event.organizer_id,
            ticket_types: event
                .ticket_types
                .into_iter()
                .map(TicketTypeOut::from)
                .collect(),
            version: event.version,
        }
    }
}

impl From<Status> for StatusOut {
    fn from(status: Status) -> Self {
        match status {
            Status::Draft => Self::Draft,
            Status::Published => Self::Published,
            Status::Cancelled => Self::Cancelled,
            Status::Archived => Self::Archived,
        }
    }
}
