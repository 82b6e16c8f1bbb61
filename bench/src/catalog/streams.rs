//! Many who watch the seats of one event.

use std::io::ErrorKind;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bench::connection::authority;
use e2e::orders::place;
use e2e::{PublishedEvent, Role, Stack, TicketType};
use platform::clock::Timestamp;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Seats of the event; nobody can buy them all.
pub(crate) const SEATS: u32 = 1_000_000;
/// Seats that are ordered one by one, each when everybody has seen the one before.
const ORDERED: u32 = 10;
/// Those who watch are many machines. On one thread they would wait for their turn on a busy machine, all of them together.
const THREADS: usize = 4;
/// All have opened their stream, or have seen a seat go, within this time; else the bench fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// Streams that are open.
pub(crate) struct Watchers {
    /// What they watch.
    pub(crate) event: PublishedEvent,
    board: Arc<Board>,
    /// `None`: it is being dropped.
    threads: Option<Runtime>,
}

impl Drop for Watchers {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.take() {
            threads.shutdown_background();
        }
    }
}

/// What a stream showed from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Seats that are gone.
    pub(crate) gone: i64,
    /// In µs of the wall clock.
    pub(crate) at: i64,
}

impl Watchers {
    /// Opens this many streams of a fresh event, and waits until all have told what there is.
    pub(crate) async fn open(stack: &Stack, count: usize) -> anyhow::Result<Self> {
        let organizer = stack.user(&[Role::Organizer]).await?;
        let types = [TicketType::general(SEATS)];
        let event = stack.published_event(&organizer, &types).await?;
        let authority = authority(stack.catalog().base())?;
        let address = format!("/v1/events/{}/availability/stream", event.id);
        let board = Arc::new(Board::new(count));
        let threads = runtime::Builder::new_multi_thread();
        let threads = { threads }.worker_threads(THREADS).enable_all().build()?;
        let here = Self {
            event,
            board: Arc::clone(&board),
            threads: Some(threads),
        };
        let opening = async move {
            for stream in 0..count {
                let request = format!("GET {address} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
                let socket = TcpStream::connect(&authority).await?;
                tokio::spawn(watch(socket, request, stream, Arc::clone(&board)));
            }
            anyhow::Ok(())
        };
        let threads = here.threads.as_ref().context("threads")?;
        threads.spawn(opening).await??;
        here.board.all_show(0).await?;
        Ok(here)
    }

    /// Orders some seats one by one, and tells for each how long after the answer the last stream showed that it was gone; the
    /// shortest time first.
    pub(crate) async fn order(&self, stack: &Stack) -> anyhow::Result<Vec<Duration>> {
        let buyer = stack.customer().await?;
        let lines = [(self.event.ticket_types[0], 1)];
        let mut took = Vec::new();
        for gone in 1..=i64::from(ORDERED) {
            let order = place(stack.checkout(), &buyer, self.event.id, &lines);
            order.send().await?.expect(201)?;
            let answered = Timestamp::now().as_micros();
            let last = self.board.all_show(gone).await?;
            took.push(Duration::from_micros(
                u64::try_from(last - answered).unwrap_or_default(),
            ));
        }
        took.sort();
        Ok(took)
    }

    /// What each stream has shown since this was asked last, once all show that so many seats are gone.
    pub(crate) async fn shown(&self, gone: i64) -> anyhow::Result<Vec<Vec<Shown>>> {
        self.board.all_show(gone).await?;
        let mut state = self.board.state();
        Ok(state.shown.iter_mut().map(mem::take).collect())
    }
}

/// Where streams say what they show.
struct Board {
    state: Mutex<State>,
    all_have: Notify,
}

struct State {
    /// What is waited for.
    gone: i64,
    /// By stream: what it shows.
    last: Vec<i64>,
    /// How many show what is waited for.
    seen_by: usize,
    /// When the last of them began to, in µs of the wall clock.
    seen_at: i64,
    /// By stream: what it has shown.
    shown: Vec<Vec<Shown>>,
    /// Why streams ended that should not.
    ended: Option<String>,
}

impl Board {
    fn new(streams: usize) -> Self {
        Self {
            state: Mutex::new(State {
                // Nothing yet.
                gone: i64::MAX,
                last: vec![-1; streams],
                seen_by: 0,
                seen_at: 0,
                shown: vec![Vec::new(); streams],
                ended: None,
            }),
            all_have: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a stream shows from now on.
    fn shows(&self, stream: usize, shown: Shown) {
        let mut state = self.state();
        state.shown[stream].push(shown);
        let before = mem::replace(&mut state.last[stream], shown.gone);
        if before < state.gone && shown.gone >= state.gone {
            state.seen_by += 1;
            state.seen_at = shown.at;
            if state.seen_by == state.last.len() {
                self.all_have.notify_one();
            }
        }
    }

    /// Waits until all show that so many seats, or more, are gone. When the last one began to, in µs of the wall clock; 0 if
    /// all did already.
    async fn all_show(&self, gone: i64) -> anyhow::Result<i64> {
        let streams = {
            let mut state = self.state();
            state.gone = gone;
            state.seen_at = 0;
            state.seen_by = state.last.iter().filter(|last| **last >= gone).count();
            if state.seen_by == state.last.len() {
                return Ok(0);
            }
            state.last.len()
        };
        let in_time = timeout(DEADLINE, self.all_have.notified()).await;
        let state = self.state();
        ensure!(
            in_time.is_ok(),
            "{} of {streams} streams showed {gone} seats as gone within {DEADLINE:?}; ended: {:?}",
            state.seen_by,
            state.ended
        );
        Ok(state.seen_at)
    }
}

async fn watch(socket: TcpStream, request: String, stream: usize, board: Arc<Board>) {
    if let Err(error) = read(socket, request, stream, &board).await {
        board.state().ended = Some(format!("{error:#}"));
    }
}

/// With nothing between the socket and the clock: a client of HTTP reads on one task and hands over to another, and the cores on
/// which 5,000 of them do so are those of the service that they watch.
async fn read(
    socket: TcpStream,
    request: String,
    stream: usize,
    board: &Board,
) -> anyhow::Result<()> {
    socket.writable().await?;
    let sent = socket.try_write(request.as_bytes())?;
    ensure!(sent == request.len(), "the request was not taken");
    let mut text = Text::default();
    let mut buffer = [0; 1024];
    loop {
        socket.readable().await?;
        let count = match socket.try_read(&mut buffer) {
            Ok(0) => bail!("the service ended it"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error.into()),
        };
        let at = Timestamp::now().as_micros();
        text.add(&buffer[..count])?;
        while let Some(message) = text.message() {
            if let Some(gone) = gone(&message)? {
                board.shows(stream, Shown { gone, at });
            }
        }
    }
}

/// What was received and not read yet.
#[derive(Default)]
struct Text {
    text: String,
    is_answered: bool,
}

impl Text {
    fn add(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.text.push_str(std::str::from_utf8(bytes)?);
        if !self.is_answered
            && let Some((head, rest)) = self.text.split_once("\r\n\r\n")
        {
            let status = head.lines().next().unwrap_or_default();
            ensure!(status == "HTTP/1.1 200 OK", "{status}");
            self.text = rest.to_owned();
            self.is_answered = true;
        }
        Ok(())
    }

    /// The next whole message, with the lines of HTTP's chunks around it: each of them ends with a carriage return, no line of
    /// a message does.
    fn message(&mut self) -> Option<String> {
        if !self.is_answered {
            return None;
        }
        let end = self.text.find("\n\n")? + 2;
        Some(self.text.drain(..end).collect())
    }
}

/// What is read of a message.
#[derive(Deserialize)]
struct Availability {
    ticket_types: [Seats; 1],
}

#[derive(Deserialize)]
struct Seats {
    quantity: i64,
    available: i64,
}

/// Seats that a message tells to be gone; `None`: a comment.
fn gone(message: &str) -> anyhow::Result<Option<i64>> {
    let mut lines = message.lines();
    let Some(data) = lines.find_map(|line| line.strip_prefix("data: ")) else {
        return Ok(None);
    };
    let Availability { ticket_types } = serde_json::from_str(data).context("what a stream says")?;
    let [seats] = ticket_types;
    Ok(Some(seats.quantity - seats.available))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_tell_of_seats_and_comments_do_not() {
        let message = "event: availability\nid: 3\nretry: 2000\ndata: {\"ticket_types\":[{\"quantity\":9,\"available\":7}]}";
        assert_eq!(gone(message).unwrap(), Some(2));
        assert_eq!(gone(":").unwrap(), None);
        assert!(gone("data: {}").is_err());
    }

    #[test]
    fn messages_are_found_in_what_comes_in_pieces_and_chunks() {
        let mut text = Text::default();
        let mut found = Vec::new();
        for piece in [
            "HTTP/1.1 200 OK\r\nx: y\r\n",
            "\r\n8\r\nid: 1\nda",
            "ta: a\n\n\r\n3\r\n:\n\n\r\nf",
        ] {
            text.add(piece.as_bytes()).unwrap();
            found.extend(std::iter::from_fn(|| text.message()));
        }
        assert_eq!(found, ["8\r\nid: 1\ndata: a\n\n", "\r\n3\r\n:\n\n"]);
        assert!(
            Text::default()
                .add(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_seat_is_seen_when_the_last_stream_shows_it() {
        let board = Board::new(2);
        let shows = |stream, gone| board.shows(stream, Shown { gone, at: gone });
        shows(0, 0);
        shows(1, 0);
        assert_eq!(board.all_show(0).await.unwrap(), 0);
        let late = async {
            tokio::task::yield_now().await;
            shows(0, 1);
            shows(0, 2);
            assert_eq!(board.state().seen_by, 1, "one that showed it twice");
            shows(1, 4);
        };
        let (last, ()) = tokio::join!(board.all_show(1), late);
        assert_eq!(last.unwrap(), 4);
        assert_eq!(board.state().shown[1].len(), 2);
    }
}
