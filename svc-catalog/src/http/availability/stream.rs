//! What is left, told again and again as it changes: Server-Sent Events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use platform::auth::OptionalCaller;
use platform::http::{Code, Path, Problem};
use platform::ids::new_id;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use uuid::Uuid;

use super::AvailabilityOut;
use crate::app::App;
use crate::domain::stock::EventStock;
use crate::http::access;
use crate::live_events::LiveEvent;

/// Most streams that are open at a time in one instance, of about 20 KB each with their connection.
pub const MAX_STREAMS: usize = 6_000;
/// A stream tells no more often than this. On a hot event stock changes twenty times a second, nobody reads as fast, and
/// thousands watch.
const PACE: Duration = Duration::from_millis(250);
/// So often something is sent, be it nothing but a comment: proxies close what is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// So long a stream lasts, and up to a third longer: the browser comes back, and who is gone without a word, or holds places
/// that others want, is out.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// A browser that lost its stream comes back after this time.
const RETRY: Duration = Duration::from_secs(2);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What is left, as it changes
///
/// Server-Sent Events: each message is of the type `availability`, has the body of `GET …/availability` as its data and the
/// version as its id, and comes at most four times a second. The first one comes at once, unless `Last-Event-ID` names
/// the version that is current. Between changes there is a comment every 15 s. The stream ends after 15 to 20 minutes, and
/// when the service stops; come again.
#[utoipa::path(
    operation_id = "follow_availability",
    get, path = "/v1/events/{id}/availability/stream", tag = "availability", security((), ("bearer" = [])),
    params(
        ("id" = Uuid, Path, description = "The event"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last message that was received"),
    ),
    responses(
        (status = 200, description = "A stream that does not end", body = String, content_type = "text/event-stream"),
    ),
)]
pub async fn follow(
    State(app): State<App>,
    OptionalCaller(caller): OptionalCaller,
    Path(event_id): Path<Uuid>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let seen = access::visible(&app, caller.as_ref(), event_id).await?;
    app.stock.check().map_err(Problem::unavailable)?;
    let permit = place(&app.streams)?;
    let last_id = headers
        .get(LAST_EVENT_ID)
        .and_then(|id| id.to_str().ok()?.parse().ok());
    let follower = Follower {
        stock: app.stock.watch(event_id),
        app,
        event: seen.event,
        last_id,
        not_before: Instant::now(),
        ends_at: Instant::now() + LIFETIME + spread(LIFETIME / 3),
        _permit: permit,
    };
    let stream = Sse::new(follower.messages()).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    // A proxy that collects the stream would keep it from the one who watches.
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, stream).into_response())
}

/// A place among those who watch, given back when it is dropped; 503 when all are taken.
fn place(streams: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    let permit = Arc::clone(streams).try_acquire_owned();
    permit.map_err(|_| {
        Problem::new(Code::Overloaded)
            .detail("too many streams are open")
            .retry_after(5)
    })
}

/// One open stream.
struct Follower {
    app: App,
    event: Arc<LiveEvent>,
    stock: watch::Receiver<Option<Arc<EventStock>>>,
    /// What the client knows.
    last_id: Option<i64>,
    not_before: Instant,
    ends_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    fn messages(self) -> impl Stream<Item = Result<Message, Infallible>> {
        stream::unfold(self, async |mut follower| {
            let message = follower.next().await?;
            Some((Ok(message), follower))
        })
    }

    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<Message> {
        let stopping = self.app.stopping.clone();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return None,
                () = tokio::time::sleep_until(self.not_before) => {}
            }
            if self.ends_at <= Instant::now() {
                return None;
            }
            let stock = self.stock.borrow_and_update().clone();
            let version = stock.as_ref().map_or(0, |stock| stock.version);
            if self.last_id != Some(version) {
                self.last_id = Some(version);
                self.not_before = Instant::now() + PACE;
                return self.message(stock.as_deref()).await;
            }
            tokio::select! {
                () = stopping.cancelled() => return None,
                () = tokio::time::sleep_until(self.ends_at) => return None,
                changed = self.stock.changed() => changed.ok()?,
            }
        }
    }

    async fn message(&mut self, stock: Option<&EventStock>) -> Option<Message> {
        if !self.knows_all_types(stock) {
            // The organizer has added or taken away a ticket type since. Without the database the old ones go on.
            if let Ok(found) = self.app.events.find(self.event.event.id).await {
                self.event = Arc::new(LiveEvent::new(found?));
            }
        }
        let out = AvailabilityOut::new(&self.event.event.ticket_types, stock);
        Message::default()
            .event("availability")
            .id(out.version.to_string())
            .retry(RETRY)
            .json_data(&out)
            .ok()
    }

    fn knows_all_types(&self, stock: Option<&EventStock>) -> bool {
        let told = stock.map_or(&[][..], |stock| &stock.ticket_types);
        let known = &self.event.event.ticket_types;
        stock.is_none()
            || (told.len() == known.len()
                && told
                    .iter()
                    .all(|told| known.iter().any(|known| known.id == told.ticket_type_id)))
    }
}

/// Some time up to `most`, another one for each stream: those that began together do not come back together.
fn spread(most: Duration) -> Duration {
    let [share, ..] = *new_id().as_bytes().last_chunk::<2>().unwrap_or(&[0, 0]);
    most * u32::from(share) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_house_is_said_to_be_full_until_somebody_leaves() {
        let streams = Arc::new(Semaphore::new(2));
        let (first, _second) = (place(&streams).unwrap(), place(&streams).unwrap());
        let refused = place(&streams).unwrap_err();
        assert_eq!(refused.status(), 503);
        drop(first);
        assert!(place(&streams).is_ok());
    }
}
