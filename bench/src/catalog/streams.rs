//! Many who watch the seats of one event: how soon all of them see one go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bench::connection::{Connection, authority, connect};
use e2e::orders::place;
use e2e::{Role, Stack, TicketType};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::HOST;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Seats that are ordered, each when everybody has seen the one before.
const ORDERED: u32 = 10;
/// All have opened their stream, or have seen a seat go, within this time; else the bench fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// Streams that are open.
pub(crate) struct Watchers {
    board: Arc<Board>,
    event: e2e::PublishedEvent,
    // The tasks end with it.
    _reading: JoinSet<anyhow::Result<()>>,
}

impl Watchers {
    /// Opens this many streams of a fresh event, and waits until all have told what there is.
    pub(crate) async fn open(stack: &Stack, count: usize) -> anyhow::Result<Self> {
        let organizer = stack.user(&[Role::Organizer]).await?;
        let types = [TicketType::general(ORDERED)];
        let event = stack.published_event(&organizer, &types).await?;
        let authority = authority(stack.catalog().base())?;
        let address = format!("/v1/events/{}/availability/stream", event.id);
        let board = Arc::new(Board::new(count));
        board.expect(ORDERED.into());
        let mut reading = JoinSet::new();
        for _ in 0..count {
            let connection = connect(&authority).await?;
            let request = Request::get(&address).header(HOST, &authority);
            let request = request.body(Full::new(Bytes::new()))?;
            reading.spawn(watch(connection, request, Arc::clone(&board)));
        }
        board.all_have_seen().await?;
        Ok(Self {
            board,
            event,
            _reading: reading,
        })
    }

    /// Orders some seats, and tells for each how long after the answer the last stream showed that it was gone; the shortest
    /// time first.
    pub(crate) async fn order(&self, stack: &Stack) -> anyhow::Result<Vec<Duration>> {
        let buyer = stack.customer().await?;
        let lines = [(self.event.ticket_types[0], 1)];
        let mut took = Vec::new();
        for left in (0..i64::from(ORDERED)).rev() {
            self.board.expect(left);
            let order = place(stack.checkout(), &buyer, self.event.id, &lines);
            order.send().await?.expect(201)?;
            let answered = Instant::now();
            let last = self.board.all_have_seen().await?;
            took.push(last.saturating_duration_since(answered));
        }
        took.sort();
        Ok(took)
    }
}

/// Where streams say what they show.
struct Board {
    streams: usize,
    state: Mutex<State>,
    all_have: Notify,
}

struct State {
    /// Who shows this many seats or fewer has seen it.
    left: i64,
    seen_by: usize,
    last: Instant,
    /// Why streams ended that should not.
    ended: Option<String>,
}

impl Board {
    fn new(streams: usize) -> Self {
        Self {
            streams,
            state: Mutex::new(State {
                left: i64::MAX,
                seen_by: 0,
                last: Instant::now(),
                ended: None,
            }),
            all_have: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, left: i64) {
        let mut state = self.state();
        (state.left, state.seen_by) = (left, 0);
    }

    /// Notes what a stream shows that showed `before`.
    fn shows(&self, before: i64, left: i64) {
        let mut state = self.state();
        if left <= state.left && before > state.left {
            state.seen_by += 1;
            state.last = Instant::now();
            if state.seen_by == self.streams {
                self.all_have.notify_one();
            }
        }
    }

    /// When the last one saw it.
    async fn all_have_seen(&self) -> anyhow::Result<Instant> {
        let in_time = timeout(DEADLINE, self.all_have.notified()).await;
        let state = self.state();
        ensure!(
            in_time.is_ok(),
            "{} of {} streams showed {} seats within {DEADLINE:?}; ended: {:?}",
            state.seen_by,
            self.streams,
            state.left,
            state.ended
        );
        Ok(state.last)
    }
}

async fn watch(
    connection: Connection,
    request: Request<Full<Bytes>>,
    board: Arc<Board>,
) -> anyhow::Result<()> {
    let ended = read(connection, request, &board).await;
    if let Err(error) = &ended {
        board.state().ended = Some(format!("{error:#}"));
    }
    ended
}

async fn read(
    mut connection: Connection,
    request: Request<Full<Bytes>>,
    board: &Board,
) -> anyhow::Result<()> {
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    let (mut body, mut text, mut before) = (answer.into_body(), String::new(), i64::MAX);
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let bytes = frame.data_ref().map_or(&[][..], |data| &data[..]);
        text.push_str(std::str::from_utf8(bytes)?);
        while let Some((message, rest)) = text.split_once("\n\n") {
            if let Some(left) = seats(message)? {
                board.shows(before, left);
                before = left;
            }
            text = rest.to_owned();
        }
    }
    bail!("the service ended it")
}

/// Seats that a message tells of; `None`: a comment.
fn seats(message: &str) -> anyhow::Result<Option<i64>> {
    let mut lines = message.lines();
    let Some(data) = lines.find_map(|line| line.strip_prefix("data: ")) else {
        return Ok(None);
    };
    let data: Value = serde_json::from_str(data)?;
    let left = data["ticket_types"][0]["available"].as_i64();
    left.context("seats of the first ticket type").map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_tell_of_seats_and_comments_do_not() {
        let message =
            "event: availability\nid: 3\nretry: 2000\ndata: {\"ticket_types\":[{\"available\":7}]}";
        assert_eq!(seats(message).unwrap(), Some(7));
        assert_eq!(seats(":").unwrap(), None);
        assert!(seats("data: {}").is_err());
    }

    #[tokio::test]
    async fn a_seat_is_seen_when_the_last_stream_shows_it() {
        let board = Board::new(2);
        board.expect(9);
        board.shows(i64::MAX, 10);
        board.shows(10, 9);
        board.shows(9, 9);
        assert_eq!(board.state().seen_by, 1, "one that showed it twice");
        board.shows(10, 8);
        board.all_have_seen().await.unwrap();
        board.expect(7);
        assert_eq!(board.state().seen_by, 0);
    }
}
