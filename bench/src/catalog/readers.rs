//! Clients in a closed loop that look for events.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bench::connection::{Connection, connect};
use bench::cpu::Processes;
use bench::figures::{Plan, Run};
use bench::meter::Meter;
use e2e::Stack;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderValue};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::events::Vocabulary;

/// Different questions of each kind.
const EACH: u64 = 500;
/// So many of the kind that is never asked twice that no run gets to their end.
const ALL_NEW: u64 = 100_000;
/// The page that everybody sees first.
pub(crate) const FIRST_PAGE: &str = "/v1/events";
/// Answers on the way at the end are waited for this long.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(15);

/// What is asked, and the addresses that ask it.
pub(crate) async fn questions(
    stack: &Stack,
    vocabulary: &Vocabulary,
) -> anyhow::Result<Vec<(&'static str, Vec<String>)>> {
    let each = |address: &dyn Fn(u64) -> String| (0..EACH).map(address).collect::<Vec<_>>();
    let word = |place| vocabulary.word(place);
    let city = |number| vocabulary.city(number).replace(' ', "+");
    let (pages, events) = walk(stack).await?;
    Ok(vec![
        ("the first page (50 events)", vec![FIRST_PAGE.to_owned()]),
        ("later pages", pages),
        (
            "events in a city",
            each(&|n| format!("/v1/events?city={}", city(n))),
        ),
        (
            "a frequent word",
            each(&|n| format!("/v1/events?q={}", word(n))),
        ),
        (
            "a rare word",
            each(&|n| format!("/v1/events?q={}", word(15_000 + 7 * n))),
        ),
        (
            "the beginning of a word",
            each(&|n| format!("/v1/events?q={}", first_letters(word(n), 2))),
        ),
        (
            "two frequent words of a type",
            each(&|n| format!("/v1/events?q={}+{}&type=concert", word(n), word(n + 37))),
        ),
        (
            "what nobody has asked before",
            (0..ALL_NEW)
                .map(|n| {
                    let (frequent, beginning) = (word(n / 256), first_letters(word(n % 256), 3));
                    format!("/v1/events?q={frequent}+{beginning}")
                })
                .collect(),
        ),
        (
            "an event",
            events.iter().map(|id| format!("/v1/events/{id}")).collect(),
        ),
        (
            "what is left of an event",
            events
                .iter()
                .map(|id| format!("/v1/events/{id}/availability"))
                .collect(),
        ),
    ])
}

fn first_letters(word: &str, count: usize) -> String {
    word.chars().take(count).collect()
}

/// The addresses of the pages that follow the first one, and the ids on them.
async fn walk(stack: &Stack) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let (mut pages, mut events) = (Vec::new(), Vec::new());
    let mut address = FIRST_PAGE.to_owned();
    while pages.len() < 100 {
        let page = stack.catalog().get(&address).send().await?.expect(200)?;
        let items = page["items"].as_array().context("items")?;
        events.extend(
            items
                .iter()
                .filter_map(|item| item["id"].as_str().map(str::to_owned)),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        address = format!("/v1/events?cursor={cursor}");
        pages.push(address.clone());
    }
    Ok((pages, events))
}

/// Lets the clients ask, each one something else at a time.
pub(crate) async fn run(
    authority: &str,
    addresses: Vec<String>,
    clients: usize,
    plan: Plan,
    processes: &Processes,
) -> anyhow::Result<Run> {
    let (meter, addresses) = (Arc::new(Meter::new()?), Arc::new(addresses));
    let mut asking = JoinSet::new();
    for client in 0..clients {
        let connection = connect(authority).await?;
        let host = HeaderValue::from_str(authority)?;
        // Far from each other, so that no two ask the same at a time unless there is little to ask.
        let first = client * addresses.len() / clients;
        asking.spawn(ask(
            connection,
            host,
            Arc::clone(&addresses),
            first,
            Arc::clone(&meter),
        ));
    }
    let measured = meter.measure(clients, plan, processes).await?;
    timeout(LAST_ANSWERS_WITHIN, async {
        while asking.join_next().await.is_some() {}
    })
    .await
    .context("some of the last questions got no answer")?;
    Ok(Run {
        failures: meter.failures(),
        ..measured
    })
}

async fn ask(
    mut connection: Connection,
    host: HeaderValue,
    addresses: Arc<Vec<String>>,
    first: usize,
    meter: Arc<Meter>,
) {
    for address in addresses.iter().cycle().skip(first) {
        if meter.has_ended() {
            return;
        }
        let began = Instant::now();
        match get(&mut connection, &host, address).await {
            Ok(200) => meter.answered(began.elapsed()),
            Ok(status) => meter.failed(format!("{address}: {status}")),
            Err(error) => {
                meter.failed(format!("no answer: {error:#}"));
                return;
            }
        }
    }
}

async fn get(
    connection: &mut Connection,
    host: &HeaderValue,
    address: &str,
) -> anyhow::Result<u16> {
    connection.ready().await?;
    let request = Request::get(address).header(HOST, host);
    let answer = connection
        .send_request(request.body(Full::new(Bytes::new()))?)
        .await?;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    // Not collected: a browser's memory is not what is measured.
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(status)
}
