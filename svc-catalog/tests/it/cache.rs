//! What may be kept of the answers, who asks whether it is still right, and what another instance knows.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::control::stack_command;
use e2e::orders::place;
use e2e::wait::SOON;
use e2e::{Answer, Api, PublishedEvent, Role, Stack, TicketType, User, eventually};
use platform::ids::new_id;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{draft, event_body, fresh_name};

const SECOND: &str = "svc-catalog-2";
/// Changes whose way to the other instance is timed.
const CHANGES: usize = 9;

async fn on_sale(stack: &Stack, organizer: &User) -> anyhow::Result<PublishedEvent> {
    stack
        .published_event(organizer, &[TicketType::general(20)])
        .await
}

/// Somebody holds a ticket, and both doors know it: nothing more is heard of the event's stock until something happens.
async fn hold_one(stack: &Stack, event: &PublishedEvent, doors: &[&Api]) -> anyhow::Result<()> {
    let buyer = stack.customer().await?;
    let lines = [(event.ticket_types[0], 1)];
    let order = place(stack.checkout(), &buyer, event.id, &lines);
    order.send().await?.expect(201)?;
    for door in doors {
        let left = format!("/v1/events/{}/availability", event.id);
        until(door, &left, "the held ticket", |left| {
            left["ticket_types"][0]["available"] == 19
        })
        .await?;
    }
    Ok(())
}

/// The words of a name, as a query.
fn looked_for(name: &str) -> String {
    name.replace(' ', "+")
}

/// Everything that anyone may read of an event.
fn addresses(event: &PublishedEvent) -> [String; 4] {
    let path = format!("/v1/events/{}", event.id);
    [
        format!("/v1/events?q={}", looked_for(&event.name)),
        format!("{path}/ticket-types"),
        format!("{path}/availability"),
        path,
    ]
}

fn ensure_headers(answer: &Answer, name: &str, value: &str) -> anyhow::Result<()> {
    ensure!(
        answer.header(name) == Some(value),
        "{name} is {:?} of {answer}",
        answer.header(name)
    );
    Ok(())
}

#[tokio::test]
async fn who_has_the_newest_is_not_sent_it_again() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event = on_sale(&stack, &organizer).await?;
    hold_one(&stack, &event, &[stack.catalog()]).await?;
    let mut kept = Vec::new();
    for address in addresses(&event) {
        let answer = stack.catalog().get(&address).send().await?;
        ensure_headers(&answer, "cache-control", "public, max-age=1")?;
        let tag = answer.etag()?;
        answer.expect(200)?;
        for sent in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let again = stack.catalog().get(&address);
            let again = again.header("if-none-match", &sent).send().await?;
            ensure!(again.status == 304 && again.bytes.is_empty(), "{again}");
            ensure!(again.etag()? == tag, "{address}");
            ensure_headers(&again, "cache-control", "public, max-age=1")?;
        }
        kept.push((address, tag));
    }
    // A ticket type more changes all four.
    crate::add_ticket_type(&stack, &organizer, event.id, &TicketType::vip(2)).await?;
    for (address, tag) in kept {
        let call = stack.catalog().get(&address).header("if-none-match", &tag);
        let answer = call.send().await?;
        ensure!(answer.status == 200 && answer.etag()? != tag, "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn what_was_made_for_one_caller_is_for_nobody_else() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event = on_sale(&stack, &organizer).await?;
    hold_one(&stack, &event, &[stack.catalog()]).await?;
    for address in &addresses(&event)[1..] {
        let answer = stack.catalog().get(address).by(&organizer).send().await?;
        ensure_headers(&answer, "cache-control", "private, no-cache")?;
        ensure_headers(&answer, "vary", "authorization")?;
        let tag = answer.etag()?;
        answer.expect(200)?;
        let again = stack.catalog().get(address).by(&organizer);
        let again = again.header("if-none-match", &tag).send().await?;
        ensure!(again.status == 304, "{again}");
        let anyone = stack.catalog().get(address).send().await?;
        ensure_headers(&anyone, "vary", "authorization")?;
    }
    Ok(())
}

#[tokio::test]
async fn that_nothing_is_there_is_not_kept() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let id = draft(&stack, &organizer, &event_body()).await?;
    crate::add_ticket_type(&stack, &organizer, id, &TicketType::general(5)).await?;
    let path = format!("/v1/events/{id}");
    for absent in [&path, &format!("/v1/events/{}", new_id())] {
        let answer = stack.catalog().get(absent);
        let answer = answer.header("if-none-match", "*").send().await?;
        ensure_headers(&answer, "cache-control", "no-store")?;
        answer.expect_problem(404, "not-found")?;
    }
    let publish = stack.catalog().post(format!("{path}/publish"));
    publish.by(&organizer).send().await?.expect(200)?;
    stack.catalog().get(&path).send().await?.expect(200)?;
    Ok(())
}

/// Waits until an anonymous reader at this door gets what fits.
async fn until(
    door: &Api,
    address: &str,
    what: &str,
    fits: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    eventually(SOON, what, async || {
        let body = door.get(address).send().await?.expect(200)?;
        Ok(fits(&body).then_some(()))
    })
    .await
}

async fn two_doors(stack: &Stack) -> anyhow::Result<()> {
    let (here, there) = (stack.catalog(), stack.second_catalog());
    let organizer = stack.user(&[Role::Organizer]).await?;
    let before = on_sale(stack, &organizer).await?;
    let path = format!("/v1/events/{}", before.id);
    let list = format!("/v1/events?q={}", looked_for(&before.name));
    until(there, &list, "the event in the other list", |page| {
        page["items"][0]["id"] == before.id.to_string()
    })
    .await?;
    hold_one(stack, &before, &[here, there]).await?;
    // The same bytes under the same tag, whichever door.
    for address in addresses(&before) {
        let (one, other) = (
            here.get(&address).send().await?,
            there.get(&address).send().await?,
        );
        ensure!(
            one.etag()? == other.etag()? && one.bytes == other.bytes,
            "{one} {other}"
        );
    }

    let seen = there.get(&path).by(&organizer).send().await?;
    let (etag, name) = (seen.etag()?, fresh_name());
    let mut body = event_body();
    body["name"] = json!(name);
    let change = here.put(&path).by(&organizer).if_match(&etag).json(&body);
    change.send().await?.expect(200)?;
    // Who has signed in does not wait for it.
    let own = there.get(&path).by(&organizer).send().await?.expect(200)?;
    ensure!(own["name"] == name, "{own}");
    until(there, &path, "the new name", |event| event["name"] == name).await?;
    until(there, &list, "the old name to be gone", |page| {
        page["items"] == json!([])
    })
    .await?;

    let buyer = stack.customer().await?;
    let order = place(
        stack.checkout(),
        &buyer,
        before.id,
        &[(before.ticket_types[0], 3)],
    );
    order.send().await?.expect(201)?;
    let left = format!("{path}/availability");
    for door in [here, there] {
        until(door, &left, "the sale", |left| {
            left["ticket_types"][0]["available"] == 16
        })
        .await?;
    }

    let cancel = there.post(format!("{path}/cancel")).by(&organizer);
    cancel.send().await?.expect(200)?;
    until(here, &path, "the cancellation", |event| {
        event["status"] == "cancelled"
    })
    .await?;
    let list = format!("/v1/events?q={}", looked_for(&name));
    until(here, &list, "the cancelled event to be gone", |page| {
        page["items"] == json!([])
    })
    .await
}

/// How long after its answer each of some changes here is what an anonymous reader gets there.
async fn delays(stack: &Stack) -> anyhow::Result<Vec<Duration>> {
    let (here, there) = (stack.catalog(), stack.second_catalog());
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event = on_sale(stack, &organizer).await?;
    let path = format!("/v1/events/{}", event.id);
    let mut delays = Vec::new();
    for _ in 0..CHANGES {
        let name = fresh_name();
        let mut body = event_body();
        body["name"] = json!(name);
        let change = here.put(&path).by(&organizer).if_match("*").json(&body);
        change.send().await?.expect(200)?;
        let answered = Instant::now();
        until(there, &path, "the new name", |event| event["name"] == name).await?;
        let list = format!("/v1/events?q={}", looked_for(&name));
        until(there, &list, "the new name in the list", |page| {
            page["items"][0]["name"] == name
        })
        .await?;
        delays.push(answered.elapsed());
    }
    delays.sort();
    Ok(delays)
}

/// What the second is good for: half of the changes are there well before it has passed, also while the other tests keep the
/// machine busy.
async fn within_a_second(stack: &Stack) -> anyhow::Result<()> {
    let delays = delays(stack).await?;
    ensure!(delays[CHANGES / 2] < Duration::from_secs(1), "{delays:?}");
    Ok(())
}

#[tokio::test]
async fn every_instance_hears_of_every_change() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    stack_command("start", SECOND).await?;
    let tested = async {
        two_doors(&stack).await?;
        within_a_second(&stack).await
    };
    let tested = tested.await;
    let stopped = stack_command("stop", SECOND).await;
    tested.context("two instances")?;
    stopped
}
