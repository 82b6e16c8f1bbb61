//! The list of published events.

#![expect(
    unused_qualifications,
    reason = "utoipa writes the types of parameters as paths"
)]

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::Response;
use platform::clock::Timestamp;
use platform::http::{IfNoneMatch, Page, PageAmong, PageQuery, Problem, Query};
use platform::ids::derived_id;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use uuid::Uuid;

use super::event::{EventOut, event_json};
use super::invalid;
use super::kept::FOR_EVERYONE;
use crate::app::App;
use crate::domain::listing::{Filter, Part, Place};
use crate::live_events::{LiveEvent, LivePage};

/// What an id and a version take up in what a tag is made of; more is no harm.
const VERSION_BYTES: usize = 48;

/// Which events are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PublishedEventsIn {
    /// Only events with all these words, or longer ones that begin so, in their name, type, venue, city or description. Neither
    /// case nor accents count.
    #[param(min_length = 1, max_length = 100)]
    q: Option<String>,
    /// Only events of this type. Neither case nor accents count.
    #[param(min_length = 1, max_length = 40)]
    r#type: Option<String>,
    /// Only events in this city. Neither case nor accents count.
    #[param(min_length = 1, max_length = 200)]
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
/// Soonest first. A change of an event may take a second until it is in the list.
#[utoipa::path(
    operation_id = "list_events",
    get, path = "/v1/events", tag = "events",
    params(
        PublishedEventsIn, PageQuery,
        ("If-None-Match" = Option<String>, Header, description = "The `ETag` of what the client has"),
    ),
    responses(
        (status = 200, description = "The events", body = Page<EventOut>),
        (status = 304, description = "The client has it"),
    ),
)]
pub async fn list(
    State(app): State<App>,
    Query(wanted): Query<PublishedEventsIn>,
    PageAmong(page): PageAmong,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    let part = wanted.part(&page)?;
    let page = app.live.page(part, live_page);
    let page = page.map_err(Problem::unavailable)?;
    let answer = if_none_match.answer(&page.tag, FOR_EVERYONE, || {
        let json = [(header::CONTENT_TYPE, "application/json")];
        (json, page.json.clone())
    });
    Ok(answer)
}

/// A page of the list as it is answered.
fn live_page(events: Vec<Arc<LiveEvent>>, next: Option<Place>) -> LivePage {
    let next = next.map(|place| PlaceText {
        starts_at: place.starts_at,
        id: place.event_id,
    });
    let page = Page::new(events, next.as_ref());
    LivePage {
        tag: tag(&page),
        json: page_json(&page),
    }
}

impl PublishedEventsIn {
    fn part(self, page: &PageQuery) -> Result<Part, Problem> {
        let from = self.from.unwrap_or_else(Timestamp::now);
        if self.to.is_some_and(|to| to <= from) {
            let detail = format!("after from, {from}");
            return Err(Problem::invalid("?to", "order", detail));
        }
        let after = match page.cursor::<PlaceText>()? {
            Some(place) => Place {
                starts_at: place.starts_at,
                event_id: place.id,
            },
            None => Place::before(from),
        };
        Ok(Part {
            after,
            until: self.to.unwrap_or(Timestamp::MAX),
            filter: Filter::new(self.r#type, self.city, self.q)
                .map_err(|violations| invalid(&violations))?,
            limit: page.limit(),
        })
    }
}

/// The same for the same page, whichever instance it comes from.
fn tag(page: &Page<Arc<LiveEvent>>) -> String {
    let ends_with = page.next_cursor.as_deref().unwrap_or_default();
    let events = page.items.iter().map(|live| &live.event);
    // One text for all: each new page is written by somebody who waits for it.
    let mut versions = String::with_capacity(page.items.len() * VERSION_BYTES);
    for event in events {
        write!(versions, "{}/{},", event.id, event.version).expect("a String takes it");
    }
    derived_id(Uuid::nil(), &[&versions, ends_with]).to_string()
}

/// The page, of events whose JSON is mostly there.
fn page_json(page: &Page<Arc<LiveEvent>>) -> Bytes {
    let items = page.items.iter().map(|live| live.json(event_json));
    let items: Vec<Bytes> = items.collect();
    let cursor = serde_json::to_vec(&page.next_cursor).expect("a text can be written as JSON");
    let (begin, middle, end): (&[u8], &[u8], &[u8]) =
        (br#"{"items":["#, br#"],"next_cursor":"#, b"}");
    // Copied once and into what is just large enough: that is most of what a new page costs.
    let commas = items.len().saturating_sub(1);
    let length: usize = items.iter().map(Bytes::len).sum();
    let around = begin.len() + commas + middle.len() + cursor.len() + end.len();
    let mut json = Vec::with_capacity(length + around);
    json.extend_from_slice(begin);
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            json.push(b',');
        }
        json.extend_from_slice(item);
    }
    for part in [middle, &cursor, end] {
        json.extend_from_slice(part);
    }
    Bytes::from(json)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::event::Event;
    use crate::domain::event::samples::{draft, sellable};

    fn live(events: Vec<Event>) -> Vec<Arc<LiveEvent>> {
        let events = events.into_iter().map(LiveEvent::new);
        events.map(Arc::new).collect()
    }

    #[test]
    fn a_page_is_put_together_as_it_would_be_written() {
        for events in [vec![], vec![draft()], vec![draft(), sellable()]] {
            let next = events.last().map(|_| PlaceText {
                starts_at: Timestamp::MAX,
                id: Uuid::max(),
            });
            let written = events.iter().cloned().map(EventOut::from).collect();
            let written = serde_json::to_vec(&Page::new(written, next.as_ref())).unwrap();
            let page = Page::new(live(events), next.as_ref());
            assert_eq!(page_json(&page), written);
        }
    }

    #[test]
    fn another_page_has_another_tag() {
        let next = "next".to_owned();
        let tags = [
            tag(&Page::all(live(vec![]))),
            tag(&Page::all(live(vec![draft()]))),
            tag(&Page::all(live(vec![sellable()]))),
            tag(&Page::new(live(vec![draft()]), Some(&next))),
        ];
        let different: BTreeSet<&String> = tags.iter().collect();
        assert_eq!(different.len(), tags.len(), "{tags:?}");
        assert_eq!(tag(&Page::all(live(vec![draft()]))), tags[1]);
    }
}
