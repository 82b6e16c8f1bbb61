//! Seats that count down before people's eyes.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use e2e::orders::place;
use e2e::wait::SOON;
use e2e::{Api, PublishedEvent, Role, Stack, TicketType};
use futures::future::try_join_all;
use serde_json::Value;

/// An open stream, message by message.
pub(crate) struct Watched {
    response: reqwest::Response,
    text: String,
}

/// A message: its id and its data.
pub(crate) type Message = (i64, Value);

impl Watched {
    pub(crate) async fn open(
        api: &Api,
        event: &PublishedEvent,
        last: Option<i64>,
    ) -> anyhow::Result<Self> {
        let url = format!("{}/v1/events/{}/availability/stream", api.base(), event.id);
        let mut request = reqwest::Client::new().get(url);
        if let Some(last) = last {
            request = request.header("last-event-id", last.to_string());
        }
        let response = request.send().await?;
        ensure!(response.status() == 200, "{}", response.status());
        let kind = response.headers()["content-type"].to_str()?;
        ensure!(kind == "text/event-stream", "{kind}");
        Ok(Self {
            response,
            text: String::new(),
        })
    }

    pub(crate) async fn next(&mut self) -> anyhow::Result<Message> {
        tokio::time::timeout(SOON, self.read())
            .await
            .context("no message")?
    }

    async fn read(&mut self) -> anyhow::Result<Message> {
        loop {
            while let Some((message, rest)) = self.text.split_once("\n\n") {
                let found = parse(message)?;
                self.text = rest.to_owned();
                if let Some(found) = found {
                    return Ok(found);
                }
            }
            let Some(chunk) = self.response.chunk().await? else {
                bail!("the stream ended");
            };
            self.text.push_str(std::str::from_utf8(&chunk)?);
        }
    }

    /// Reads on until so many are available.
    async fn until_available(&mut self, wanted: i64) -> anyhow::Result<Vec<Message>> {
        let mut seen = Vec::new();
        loop {
            let (id, data) = self.next().await?;
            let available = data["ticket_types"][0]["available"].as_i64();
            seen.push((id, data));
            if available == Some(wanted) {
                return Ok(seen);
            }
        }
    }
}

/// `None`: a comment.
fn parse(message: &str) -> anyhow::Result<Option<Message>> {
    let field = |name: &str| {
        let mut lines = message.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    };
    let Some(data) = field("data") else {
        return Ok(None);
    };
    ensure!(field("event") == Some("availability"), "{message}");
    let id = field("id").context("an id")?.parse()?;
    Ok(Some((id, serde_json::from_str(data)?)))
}

async fn on_sale(stack: &Stack) -> anyhow::Result<PublishedEvent> {
    let organizer = stack.user(&[Role::Organizer]).await?;
    stack
        .published_event(&organizer, &[TicketType::general(20)])
        .await
}

#[tokio::test]
async fn every_sale_is_seen_by_all_who_watch() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let event = on_sale(&stack).await?;
    let mut watched = Vec::new();
    for api in [stack.catalog(), stack.gateway(), stack.gateway()] {
        let mut stream = Watched::open(api, &event, None).await?;
        let (_, first) = stream.next().await?;
        ensure!(first["ticket_types"][0]["available"] == 20, "{first}");
        watched.push(stream);
    }
    let buyer = stack.customer().await?;
    let lines = [(event.ticket_types[0], 1)];
    let orders = (0..10).map(|_| place(stack.checkout(), &buyer, event.id, &lines).send());
    for order in try_join_all(orders).await? {
        order.expect(201)?;
    }
    for stream in &mut watched {
        let seen = stream.until_available(10).await?;
        let ids: Vec<i64> = seen.iter().map(|(id, _)| *id).collect();
        ensure!(ids.is_sorted(), "newer ones follow older ones: {ids:?}");
        for (id, data) in &seen {
            ensure!(data["version"] == *id, "{id} {data}");
        }
        let now = format!("/v1/events/{}/availability", event.id);
        let now = stack.catalog().get(now).send().await?.expect(200)?;
        ensure!(seen.last().map(|(_, data)| data) == Some(&now), "{now}");
    }
    Ok(())
}

#[tokio::test]
async fn who_comes_back_hears_only_what_is_new() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let event = on_sale(&stack).await?;
    let buyer = stack.customer().await?;
    let lines = [(event.ticket_types[0], 2)];
    let order = place(stack.checkout(), &buyer, event.id, &lines);
    order.send().await?.expect(201)?;
    let mut stream = Watched::open(stack.gateway(), &event, None).await?;
    let seen = stream.until_available(18).await?;
    let current = seen.last().context("a message")?.0;

    let mut again = Watched::open(stack.gateway(), &event, Some(current)).await?;
    let order = place(stack.checkout(), &buyer, event.id, &lines);
    order.send().await?.expect(201)?;
    let (id, data) = again.next().await?;
    ensure!(id > current, "{id} after {current}");
    ensure!(data["ticket_types"][0]["available"] == 16, "{data}");
    // Whoever is behind is told at once.
    let mut behind = Watched::open(stack.gateway(), &event, Some(current)).await?;
    ensure!(behind.next().await? == (id, data));
    // Who has heard more than this instance, from another one, is not told what was before.
    let mut ahead = Watched::open(stack.gateway(), &event, Some(id + 1)).await?;
    for _ in 0..2 {
        let order = place(stack.checkout(), &buyer, event.id, &lines);
        order.send().await?.expect(201)?;
    }
    let seen = ahead.until_available(12).await?;
    ensure!(
        seen.iter().all(|(seen, _)| *seen > id + 1),
        "{seen:?} after {id} and one more"
    );
    Ok(())
}

#[tokio::test]
async fn a_new_ticket_type_comes_up_in_open_streams() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let types = [TicketType::general(20)];
    let event = stack.published_event(&organizer, &types).await?;
    let mut stream = Watched::open(stack.gateway(), &event, None).await?;
    stream.next().await?;
    crate::add_ticket_type(&stack, &organizer, event.id, &TicketType::vip(3)).await?;
    loop {
        let (_, data) = stream.next().await?;
        if data["ticket_types"][1]["available"] == 3 {
            return Ok(());
        }
    }
}

/// Proxies close what is silent for a minute.
#[tokio::test]
async fn a_stream_of_which_nothing_is_to_be_told_is_kept_alive() -> anyhow::Result<()> {
    const WITHIN: Duration = Duration::from_secs(25);
    let stack = Stack::from_env();
    let event = on_sale(&stack).await?;
    let mut stream = Watched::open(stack.gateway(), &event, None).await?;
    stream.next().await?;
    let heard = async {
        while !stream.text.contains(":\n\n") {
            let chunk = stream.response.chunk().await?.context("the stream ended")?;
            stream.text.push_str(std::str::from_utf8(&chunk)?);
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(WITHIN, heard)
        .await
        .context("silence")?
}

#[tokio::test]
async fn what_nobody_may_see_nobody_may_watch() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let id = crate::draft(&stack, &organizer, &crate::event_body()).await?;
    let path = format!("/v1/events/{id}/availability/stream");
    let answer = stack.gateway().get(path).send().await?;
    answer.expect_problem(404, "not-found")?;
    Ok(())
}
