//! What is left, told again and again as it changes: Server-Sent Events.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use futures::{Stream, stream};
use platform::auth::OptionalCaller;
use platform::http::{Code, Path, Problem};
use platform::ids::new_id;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::WaitForCancellationFutureOwned;
use uuid::Uuid;

use super::AvailabilityOut;
use crate::app::App;
use crate::domain::event::Event;
use crate::domain::stock::EventStock;
use crate::http::access;
use crate::live_events::LiveEvent;
use crate::live_stock::{Heard, Message};

/// Most streams that are open at a time in one instance, of about 20 KB each with their connection.
pub const MAX_STREAMS: usize = 6_000;
/// A stream has a turn to tell something this often, see [`Turns`]. On a hot event stock changes a hundred times a second,
/// nobody reads as fast, and thousands watch.
const PACE: Duration = Duration::from_millis(200);
/// A turn that comes sooner than this after a message is passed over.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// So often something is sent, be it nothing but a comment: proxies close what is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Ticket types that changed are looked up for as long.
const TYPES_WITHIN: Duration = Duration::from_millis(500);
/// A comment of nothing.
const COMMENT: &[u8] = b":\n\n";
/// So long a stream lasts, and up to a third longer: the browser comes back, and who is gone without a word, or holds places
/// that others want, is out.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// A browser that lost its stream comes back after this time.
const RETRY: Duration = Duration::from_secs(2);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What is left, as it changes
///
/// Server-Sent Events: each message is of the type `availability`, has the body of `GET …/availability` as its data and the
/// version as its id, and comes at most five times a second on average. The first one comes at once, unless `Last-Event-ID`
/// names the version that is current, or a later one that another instance has told. Between changes there is a comment every
/// 15 s. The stream ends after 15 to 20 minutes, and when the service stops; come again.
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
    let now = Instant::now();
    let stopping = app.stopping.clone();
    let follower = Follower {
        stock: app.stock.watch(event_id),
        app,
        event: seen.event,
        last_id,
        turns: Turns { first: now },
        turn: now,
        timer: Box::pin(sleep_until(now)),
        stopping: Box::pin(stopping.cancelled_owned()),
        heartbeat_at: now + HEARTBEAT,
        ends_at: now + LIFETIME + spread(LIFETIME / 3),
        _permit: permit,
    };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // A proxy that collects the stream would keep it from the one who watches.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(follower.messages())).into_response())
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

/// When a stream may tell something: at the moment at which it was opened, and every [`PACE`] from then on. What comes late
/// changes nothing of that.
///
/// A pace counted from the last message would do the same for one stream. But on a machine that has stood still for a moment,
/// all that were due by then are told at once, and they would stay together from then on: 5,000 messages in one
/// heap, of which the last waits for all others, each time.
struct Turns {
    first: Instant,
}

impl Turns {
    /// The next one for who is told something now.
    fn after(&self, now: Instant) -> Instant {
        let from = (now + SHORTEST_PAUSE).saturating_duration_since(self.first);
        let passed = from.as_nanos().div_ceil(PACE.as_nanos());
        self.first + PACE * u32::try_from(passed).unwrap_or(u32::MAX)
    }
}

/// One open stream.
struct Follower {
    app: App,
    event: Arc<LiveEvent>,
    stock: watch::Receiver<Option<Arc<Heard>>>,
    /// What the client knows.
    last_id: Option<i64>,
    turns: Turns,
    /// The next one.
    turn: Instant,
    /// One for the life of the stream, and not one for each of its messages; so is the next.
    timer: Pin<Box<Sleep>>,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    heartbeat_at: Instant,
    ends_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    fn messages(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::unfold(self, async |mut follower| {
            let message = follower.next().await?;
            Some((Ok(message), follower))
        })
    }

    /// The next message; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.timer.as_mut().reset(self.turn);
            tokio::select! {
                () = self.stopping.as_mut() => return None,
                () = self.timer.as_mut() => {}
            }
            let now = Instant::now();
            if self.ends_at <= now {
                return None;
            }
            // Read when it is this stream's turn, so that who comes late in a crowd is told what is new by then.
            let heard = self.stock.borrow_and_update().clone();
            let version = heard.as_ref().map_or(0, |heard| heard.stock.version);
            if self.last_id.is_none_or(|last| last < version) {
                self.last_id = Some(version);
                self.turn = self.turns.after(now);
                self.heartbeat_at = now + HEARTBEAT;
                return Some(self.message(heard.as_deref()).await);
            }
            if self.heartbeat_at <= now {
                self.heartbeat_at = now + HEARTBEAT;
                if self.last_id.is_some_and(|last| last > version) {
                    // Nobody is that far ahead: versions have begun anew, as after a restore.
                    self.last_id = Some(version);
                    return Some(self.message(heard.as_deref()).await);
                }
                return Some(Bytes::from_static(COMMENT));
            }
            let silent_until = self.ends_at.min(self.heartbeat_at);
            self.timer.as_mut().reset(silent_until);
            tokio::select! {
                () = self.stopping.as_mut() => return None,
                () = self.timer.as_mut() => {}
                changed = self.stock.changed() => changed.ok()?,
            }
        }
    }

    /// The message that all are told; another one where the event is known better here than to whoever wrote that.
    async fn message(&mut self, heard: Option<&Heard>) -> Bytes {
        let Some(heard) = heard else {
            return message(&self.event.event, None).bytes;
        };
        let shared = match heard.told() {
            Some(told) => told.clone(),
            // In a box: every open stream would have room for the question to the database.
            None => {
                heard
                    .tell(Box::pin(self.newest_message(&heard.stock)))
                    .await
            }
        };
        let event = &self.event.event;
        if shared.event_version < event.version {
            return message(event, Some(&heard.stock)).bytes;
        }
        shared.bytes
    }

    async fn newest_message(&mut self, stock: &EventStock) -> Message {
        if !knows_all_types(&self.event.event, stock) {
            // The organizer has added or taken away a ticket type since. Without the database the old ones go on, and at once:
            // everybody who watches waits for this message.
            let found = self.app.events.find(self.event.event.id);
            if let Ok(Ok(Some(found))) = timeout(TYPES_WITHIN, found).await {
                self.event = Arc::new(LiveEvent::new(found));
            }
        }
        message(&self.event.event, Some(stock))
    }
}

fn message(event: &Event, stock: Option<&EventStock>) -> Message {
    let out = AvailabilityOut::new(&event.ticket_types, stock);
    let (id, retry) = (out.version, RETRY.as_millis());
    // JSON of numbers and ids; it has no line ends.
    let data = serde_json::to_string(&out).unwrap_or_default();
    let text = format!("event: availability\nid: {id}\nretry: {retry}\ndata: {data}\n\n");
    Message {
        event_version: event.version,
        bytes: text.into(),
    }
}

fn knows_all_types(event: &Event, stock: &EventStock) -> bool {
    let (told, known) = (&stock.ticket_types, &event.ticket_types);
    told.len() == known.len()
        && told
            .iter()
            .all(|told| known.iter().any(|known| known.id == told.ticket_type_id))
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
    fn turns_do_not_move_and_none_comes_right_after_a_message() {
        let first = Instant::now();
        let turns = Turns { first };
        let ms = Duration::from_millis;
        for (told, next) in [
            (0, 200),
            (1, 200),
            (150, 200),
            (151, 400),
            (200, 400),
            (349, 400),
            (100_340, 100_400),
        ] {
            assert_eq!(turns.after(first + ms(told)), first + ms(next), "{told}");
        }
    }

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
