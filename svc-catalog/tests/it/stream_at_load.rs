//! Many who watch while many buy.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::orders::place;
use e2e::{Api, PublishedEvent, Role, Stack, TicketType, User};
use futures::future::{try_join, try_join_all};
use serde_json::Value;
use tokio::time::Instant;

use crate::stream::Watched;

const SEATS: u32 = 200;
const BUYERS: usize = 4;
/// Each buys so many, one after the other.
const ORDERS: usize = 25;
const WATCHERS: usize = 20;
/// 500 ms is what is promised and what `make bench-catalog` measures. Here other tests keep the machine busy.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// A stream says something at most so often.
const PACE: Duration = Duration::from_millis(200);

/// Seats that a stream showed as gone, from when on.
type Shown = Vec<(Instant, i64)>;

/// Buys single tickets one after the other; when each order was answered.
async fn buy(stack: &Stack, buyer: &User, event: &PublishedEvent) -> anyhow::Result<Vec<Instant>> {
    let lines = [(event.ticket_types[0], 1)];
    let mut answered = Vec::new();
    for _ in 0..ORDERS {
        let order = place(stack.checkout(), buyer, event.id, &lines);
        order.send().await?.expect(201)?;
        answered.push(Instant::now());
    }
    Ok(answered)
}

fn figure(data: &Value, name: &str) -> anyhow::Result<i64> {
    data["ticket_types"][0][name]
        .as_i64()
        .with_context(|| format!("{name} of {data}"))
}

/// Watches until so many are gone; also what it was told last.
async fn watch(mut stream: Watched, until: i64) -> anyhow::Result<(Shown, Value)> {
    let (mut shown, mut newest) = (Shown::new(), None);
    loop {
        let (id, data) = stream.next().await?;
        let gone = figure(&data, "held")? + figure(&data, "sold")?;
        ensure!(
            gone + figure(&data, "available")? == i64::from(SEATS),
            "{data}"
        );
        ensure!(newest < Some(id), "{id} after {newest:?}");
        let before = shown.last().map_or(0, |(_, gone)| *gone);
        ensure!(before <= gone, "{gone} gone after {before}");
        newest = Some(id);
        shown.push((Instant::now(), gone));
        if gone == until {
            return Ok((shown, data));
        }
    }
}

/// Two events are sold at a time, and every stream of one of them shows each of its orders soon after it was answered, the last
/// one as well, however few messages it takes for that.
#[tokio::test]
async fn every_stream_shows_every_order_soon_after_its_answer() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let types = [TicketType::general(SEATS)];
    let event = stack.published_event(&organizer, &types).await?;
    let other = stack.published_event(&organizer, &types).await?;
    let buyers = try_join_all((0..BUYERS).map(|_| stack.customer())).await?;
    let began = Instant::now();
    let doors: [&Api; 2] = [stack.catalog(), stack.gateway()];
    let doors = doors.iter().cycle().take(WATCHERS);
    let streams = try_join_all(doors.map(|door| Watched::open(door, &event, None))).await?;

    let all = i64::try_from(BUYERS * ORDERS)?;
    let buying = buyers
        .iter()
        .map(|buyer| try_join(buy(&stack, buyer, &event), buy(&stack, buyer, &other)));
    let watching = streams.into_iter().map(|stream| watch(stream, all));
    let (bought, watched) = try_join(try_join_all(buying), try_join_all(watching)).await?;

    let mut answered: Vec<Instant> = bought.into_iter().flat_map(|(here, _)| here).collect();
    answered.sort();
    let now = format!("/v1/events/{}/availability", event.id);
    let now = stack.catalog().get(now).send().await?.expect(200)?;
    for (shown, last) in watched {
        ensure!(last == now, "{last} is not {now}");
        for (gone, answered) in (1..).zip(&answered) {
            let first = shown.iter().find(|(_, shown)| *shown >= gone);
            let (at, _) = first.context("it was shown in the end")?;
            let took = at.saturating_duration_since(*answered);
            ensure!(took < SHOWN_WITHIN, "{gone} gone after {took:?}");
        }
        let (ended, _) = shown.last().context("a message")?;
        let most = 1 + (*ended - began).as_millis() / PACE.as_millis();
        let messages = shown.len() as u128;
        ensure!(messages <= most, "{messages} messages, not {most}");
    }
    Ok(())
}
