//! From a draft to an event that is on sale.

use std::time::Duration;

use anyhow::ensure;
use e2e::users::id_of;
use e2e::{Role, Stack, TicketType};
use platform::clock::Timestamp;
use serde_json::json;

use crate::{add_ticket_type, draft, event_body};

#[tokio::test]
async fn a_draft_becomes_an_event_on_sale() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let api = stack.catalog();
    let organizer = stack.user(&[Role::Organizer]).await?;

    let mut body = event_body();
    body["capacity"] = json!(120);
    body["image_url"] = json!("https://example.com/poster.png");
    body["attendance_releases_seat"] = json!(true);
    let made = api
        .post("/v1/events")
        .by(&organizer)
        .json(&body)
        .send()
        .await?;
    let (etag, location) = (made.etag()?, made.header("location").map(str::to_owned));
    let event = made.expect(201)?;
    let id = id_of(&event)?;
    let path = format!("/v1/events/{id}");
    ensure!(
        etag == "\"1\"" && location.as_ref() == Some(&path),
        "{etag} {location:?}"
    );
    for (name, said) in body.as_object().into_iter().flatten() {
        if !name.ends_with("_at") {
            ensure!(event[name] == *said, "{name} of {event}");
        }
    }
    ensure!(
        event["status"] == "draft" && event["version"] == 1,
        "{event}"
    );
    ensure!(event["ticket_types"] == json!([]), "{event}");
    ensure!(event["organizer_id"] == organizer.id.to_string(), "{event}");

    let mut wanted = TicketType::vip(20).at_most(4).body();
    wanted["sale_starts_at"] = json!("2026-01-01T09:00:00Z");
    wanted["sale_ends_at"] = event["starts_at"].clone();
    let types = format!("{path}/ticket-types");
    let added = api.post(&types).by(&organizer).json(&wanted).send().await?;
    ensure!(added.etag()? == "\"2\"", "{added}");
    let vip = added.expect(201)?;
    for (name, said) in wanted.as_object().into_iter().flatten() {
        ensure!(vip[name] == *said, "{name} of {vip}");
    }
    let general = add_ticket_type(&stack, &organizer, id, &TicketType::general(100)).await?;
    ensure!(
        general["sale_starts_at"].is_null() && general["max_per_buyer"].is_null(),
        "{general}"
    );

    let published = api
        .post(format!("{path}/publish"))
        .by(&organizer)
        .send()
        .await?;
    ensure!(published.etag()? == "\"4\"", "{published}");
    let published = published.expect(200)?;
    ensure!(
        published["status"] == "published" && published["version"] == 4,
        "{published}"
    );
    ensure!(
        published["ticket_types"] == json!([vip, general]),
        "{published}"
    );

    let seen = api.get(&path).send().await?;
    ensure!(seen.etag()? == "\"4\"", "{seen}");
    ensure!(
        seen.expect(200)? == published,
        "anyone sees what was published"
    );
    let listed = api.get(&types).send().await?.expect(200)?;
    ensure!(
        listed == json!({"items": [vip, general], "next_cursor": null}),
        "{listed}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_answered_now_is_what_is_read_later() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let mut body = event_body();
    body["name"] = json!("  Été — 夏 🎻 ");
    // Plain text: what would be markup elsewhere means nothing here, and stays.
    let plain = "<script>alert('1')</script> <b>Doors</b> &amp; bar\r\n\t7 < 8 p.m.";
    body["description"] = json!(plain);
    body["time_zone"] = json!("europe/paris");
    body["starts_at"] = json!("2027-05-01T20:00:00.123456+02:00");
    body["ends_at"] = json!("2027-05-02T02:00:00+02:00");
    let call = stack
        .catalog()
        .post("/v1/events")
        .by(&organizer)
        .json(&body);
    let made = call.send().await?.expect(201)?;
    ensure!(
        made["name"] == "Été — 夏 🎻" && made["time_zone"] == "Europe/Paris",
        "{made}"
    );
    ensure!(made["description"] == plain, "{made}");
    ensure!(made["starts_at"] == "2027-05-01T18:00:00.123000Z", "{made}");
    ensure!(
        made["capacity"].is_null() && made["image_url"].is_null(),
        "{made}"
    );
    ensure!(made["attendance_releases_seat"] == false, "{made}");
    ensure!(made["status"] == "draft", "{made}");
    let path = format!("/v1/events/{}", id_of(&made)?);
    let read = stack
        .catalog()
        .get(path)
        .by(&organizer)
        .send()
        .await?
        .expect(200)?;
    ensure!(read == made, "{read} is not {made}");
    Ok(())
}

#[tokio::test]
async fn publishing_again_changes_nothing() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event = stack
        .published_event(&organizer, &[TicketType::general(10)])
        .await?;
    let path = format!("/v1/events/{}", event.id);
    let before = stack.catalog().get(&path).send().await?;
    let publish = stack
        .catalog()
        .post(format!("{path}/publish"))
        .by(&organizer);
    // Also by whoever repeats the request as it was: the ETag it starts from is that of the draft.
    for call in [publish.clone(), publish.if_match("\"2\"")] {
        let again = call.send().await?;
        ensure!(again.etag()? == before.etag()?, "{again}");
        ensure!(again.expect(200)? == before.body, "the event changed");
    }
    Ok(())
}

#[tokio::test]
async fn an_event_without_ticket_types_is_not_published() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let id = draft(&stack, &organizer, &event_body()).await?;
    let publish = stack
        .catalog()
        .post(format!("/v1/events/{id}/publish"))
        .by(&organizer);
    publish
        .clone()
        .send()
        .await?
        .expect_problem(409, "not-publishable")?;
    add_ticket_type(&stack, &organizer, id, &TicketType::general(10)).await?;
    // 409 changed nothing, so the version is that of the ticket type.
    publish
        .clone()
        .if_match("\"1\"")
        .send()
        .await?
        .expect_problem(412, "stale")?;
    publish.if_match("\"2\"").send().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn what_is_over_is_not_published() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let mut body = event_body();
    body["starts_at"] = json!(Timestamp::now() - Duration::from_secs(7_200));
    body["ends_at"] = json!(Timestamp::now() - Duration::from_secs(1));
    let id = draft(&stack, &organizer, &body).await?;
    add_ticket_type(&stack, &organizer, id, &TicketType::general(10)).await?;
    let call = stack
        .catalog()
        .post(format!("/v1/events/{id}/publish"))
        .by(&organizer);
    let problem = call.send().await?.expect_problem(409, "not-publishable")?;
    ensure!(problem["detail"] == "it has already ended", "{problem}");
    Ok(())
}

#[tokio::test]
async fn a_published_event_is_cancelled_for_good() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let api = stack.catalog();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let ticket_types = [TicketType::general(10)];
    let event = stack.published_event(&organizer, &ticket_types).await?;
    let path = format!("/v1/events/{}", event.id);
    let published = api.get(&path).send().await?.expect(200)?;
    let cancel = api.post(format!("{path}/cancel")).by(&organizer);

    // The version of the draft: somebody has looked at another event than this one.
    let stale = cancel.clone().if_match("\"2\"").send().await?;
    stale.expect_problem(412, "stale")?;
    let cancelled = cancel.clone().if_match("\"3\"").send().await?;
    ensure!(cancelled.etag()? == "\"4\"", "{cancelled}");
    let cancelled = cancelled.expect(200)?;
    let mut expected = published;
    expected["status"] = json!("cancelled");
    expected["version"] = json!(4);
    ensure!(cancelled == expected, "{cancelled} is not {expected}");

    // Whoever has a ticket still sees what became of the event; nobody finds it any more.
    let seen = api.get(&path).send().await?.expect(200)?;
    ensure!(seen == cancelled, "{seen}");
    let name = event.name.replace(' ', "+");
    let list = api.get(format!("/v1/events?q={name}")).send().await?;
    let list = list.expect(200)?;
    ensure!(list["items"] == json!([]), "{list}");

    for call in [cancel.clone(), cancel.if_match("\"3\"")] {
        let again = call.send().await?;
        ensure!(again.expect(200)? == cancelled, "the event changed");
    }
    let publish = api.post(format!("{path}/publish")).by(&organizer);
    let publish = publish.send().await?;
    publish.expect_problem(409, "not-publishable")?;
    let add = api.post(format!("{path}/ticket-types")).by(&organizer);
    let add = add.json(&TicketType::vip(1).body()).send().await?;
    add.expect_problem(409, "sale-closed")?;
    Ok(())
}

#[tokio::test]
async fn a_draft_is_not_cancelled() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let id = draft(&stack, &organizer, &event_body()).await?;
    let path = format!("/v1/events/{id}");
    let cancel = stack.catalog().post(format!("{path}/cancel"));
    let refused = cancel.by(&organizer).send().await?;
    refused.expect_problem(409, "sale-closed")?;
    let event = stack.catalog().get(&path).by(&organizer);
    let event = event.send().await?.expect(200)?;
    ensure!(
        event["status"] == "draft" && event["version"] == 1,
        "{event}"
    );
    Ok(())
}
