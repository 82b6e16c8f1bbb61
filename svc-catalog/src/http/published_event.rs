//! The list of published events.

#![expect(
    unused_qualifications,
    reason = "utoipa writes the types of parameters as paths"
)]

use axum::extract::State;
use platform::clock::Timestamp;
use platform::http::{Json, Page, PageAmong, PageQuery, Problem, Query};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use super::event::EventOut;
use super::invalid;
use crate::app::App;
use crate::change::database;
use crate::domain::listing::{Filter, Place};
use crate::store::published_event::Part;

/// Which events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PublishedEventsIn {
    /// Only events with all these words in their name, type, place or description; at most 100 characters.
    q: Option<String>,
    /// Only events of this type. Capital and small letters are the same.
    r#type: Option<String>,
    /// Only events in this city. Capital and small letters are the same.
    city: Option<String>,
    /// Only events that start at this time or later; without it, those that have not started yet.
    from: Option<Timestamp>,
    /// Only events that start before this time.
    to: Option<Timestamp>,
    // Read by `PageAmong`; named here since every other parameter is refused.
    #[serde(default, rename = "cursor")]
    #[param(ignore)]
    _cursor: Option<IgnoredAny>,
    #[serde(default, rename = "limit")]
    #[param(ignore)]
    _limit: Option<IgnoredAny>,
}

/// Where the next page begins, inside a cursor.
#[derive(Debug, Serialize, Deserialize)]
struct PlaceText {
    starts_at: Timestamp,
    id: Uuid,
}

/// List published events
///
/// Soonest first. With a filter that hardly any event passes, a page may have fewer events than asked for, or none, and
/// still a `next_cursor`: the list ends where there is none.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(PublishedEventsIn, PageQuery),
    responses(
        (status = 200, description = "The events", body = Page<EventOut>),
    ),
)]
pub async fn list(
    State(app): State<App>,
    Query(wanted): Query<PublishedEventsIn>,
    PageAmong(page): PageAmong,
) -> Result<Json<Page<EventOut>>, Problem> {
    let from = wanted.from.unwrap_or_else(Timestamp::now);
    if wanted.to.is_some_and(|to| to <= from) {
        return Err(Problem::invalid(
            "?to",
            "order",
            format!("after from, {from}"),
        ));
    }
    let filter = Filter::new(wanted.r#type, wanted.city, wanted.q.as_deref())
        .map_err(|violations| invalid(&violations))?;
    let after = match page.cursor::<PlaceText>()? {
        Some(place) => Place {
            starts_at: place.starts_at,
            event_id: place.id,
        },
        None => Place::before(from),
    };
    let part = Part {
        after,
        until: wanted.to.unwrap_or(Timestamp::MAX),
        filter,
        limit: page.limit(),
    };
    let listed = app.published.list(&part).await.map_err(database)?;
    let next = listed.next.map(|place| PlaceText {
        starts_at: place.starts_at,
        id: place.event_id,
    });
    let events = listed.events.into_iter().map(EventOut::from);
    Ok(Json(Page::new(events.collect(), next.as_ref())))
}
