//! What is refused, and how it is said.

use anyhow::ensure;
use e2e::{Answer, Role, Stack, TicketType};
use platform::ids::new_id;
use serde_json::{Value, json};

use crate::{add_ticket_type, draft, event_body};

/// A field, what is sent in it, and the code of the refusal.
type Case = (&'static str, Value, &'static str);

/// The body with `value` at `pointer`; null takes the field away.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = body
        .pointer_mut(parent)
        .expect("the pointer's parent is there");
    match value {
        Value::Null => drop(parent.as_object_mut().expect("an object").remove(name)),
        value => parent[name] = value,
    }
    body
}

/// The answer is a 422 that names this field alone.
fn ensure_named(answer: Answer, pointer: &str, code: &str) -> anyhow::Result<()> {
    let problem = answer.expect_problem(422, "invalid")?;
    let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let [error] = errors else {
        anyhow::bail!("one error expected: {problem}");
    };
    ensure!(
        error["pointer"] == pointer && error["code"] == code,
        "{pointer} {code}: {error}"
    );
    ensure!(
        error["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty()),
        "{error}"
    );
    Ok(())
}

#[tokio::test]
async fn every_wrong_field_of_an_event_is_named() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let cases: [Case; 32] = [
        ("/name", Value::Null, "required"),
        ("/name", json!(""), "length"),
        ("/name", json!("x".repeat(201)), "length"),
        ("/name", json!("a\nb"), "text"),
        ("/name", json!(7), "type"),
        ("/type", json!(" "), "length"),
        ("/description", Value::Null, "required"),
        ("/description", json!("x".repeat(5_001)), "length"),
        ("/description", json!("\u{0}"), "text"),
        ("/venue", json!("Lyon"), "type"),
        ("/venue", json!(["Halle", "Lyon", "France"]), "type"),
        ("/venue/city", Value::Null, "required"),
        ("/venue/city", json!(""), "length"),
        ("/venue/country", json!("FR"), "unknown"),
        ("/starts_at", json!("tomorrow"), "invalid"),
        ("/starts_at", json!("1999-12-31T23:59:59Z"), "range"),
        ("/ends_at", json!("2026-01-01T00:00:00Z"), "order"),
        ("/ends_at", json!("2029-01-01T00:00:00Z"), "range"),
        ("/starts_at", json!("2027-03-28T02:30:00+01:00"), "gap"),
        ("/ends_at", json!("2027-03-28T02:30:00+02:00"), "gap"),
        ("/time_zone", json!("Mars/Olympus"), "unknown"),
        ("/time_zone", json!("CEST"), "unknown"),
        ("/capacity", json!(0), "range"),
        ("/capacity", json!(1_000_001), "range"),
        ("/capacity", json!(1.5), "type"),
        ("/image_url", json!("http://example.com/a.png"), "invalid"),
        ("/image_url", json!("javascript:alert(1)"), "invalid"),
        (
            "/image_url",
            json!("https://user:word@example.com/a"),
            "invalid",
        ),
        (
            "/image_url",
            json!(format!("https://example.com/{}", "x".repeat(2_048))),
            "invalid",
        ),
        ("/attendance_releases_seat", json!("yes"), "type"),
        ("/status", json!("published"), "unknown"),
        ("/organizer_id", json!(new_id()), "unknown"),
    ];
    for (pointer, value, code) in cases {
        let mut body = with(event_body(), pointer, value);
        if pointer == "/starts_at" {
            body["ends_at"] = json!("2000-01-01T00:00:00Z");
        }
        let call = stack
            .catalog()
            .post("/v1/events")
            .by(&organizer)
            .json(&body);
        ensure_named(call.send().await?, pointer, code)?;
    }
    Ok(())
}

#[tokio::test]
async fn every_wrong_field_of_a_ticket_type_is_named() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let body = with(event_body(), "/capacity", json!(100));
    let event = draft(&stack, &organizer, &body).await?;
    add_ticket_type(&stack, &organizer, event, &TicketType::vip(60)).await?;
    let cases: [Case; 23] = [
        ("/name", json!(""), "length"),
        ("/name", json!("x".repeat(81)), "length"),
        ("/kind", Value::Null, "required"),
        ("/kind", json!("x".repeat(41)), "length"),
        ("/price", json!(25), "type"),
        ("/price", json!([100, "EUR"]), "type"),
        ("/price/amount", json!(-1), "range"),
        ("/price/amount", json!(100_000_001), "range"),
        ("/price/amount", json!(12.5), "type"),
        ("/price/currency", json!("USD"), "currency"),
        ("/price/currency", json!("euro"), "invalid"),
        ("/price/currency", json!("XXX"), "invalid"),
        ("/quantity", json!(0), "range"),
        ("/quantity", json!(-5), "range"),
        ("/quantity", json!(1_000_001), "range"),
        ("/quantity", json!(41), "capacity"),
        ("/quantity", json!(1e30), "type"),
        ("/max_per_buyer", json!(0), "range"),
        ("/sale_starts_at", json!("2999-01-01T00:00:00Z"), "order"),
        ("/sale_ends_at", json!("2999-01-01T00:00:00Z"), "order"),
        ("/sale_starts_at", json!("2026-03-29T02:30:00+01:00"), "gap"),
        ("/sale_ends_at", json!("2026-03-29T02:30:00+01:00"), "gap"),
        ("/version", json!(3), "unknown"),
    ];
    let path = format!("/v1/events/{event}/ticket-types");
    for (pointer, value, code) in cases {
        let body = with(TicketType::general(40).body(), pointer, value);
        let call = stack.catalog().post(&path).by(&organizer).json(&body);
        ensure_named(call.send().await?, pointer, code)?;
    }
    let mut body = TicketType::general(40).body();
    body["sale_starts_at"] = json!("2026-01-02T00:00:00Z");
    body["sale_ends_at"] = json!("2026-01-01T00:00:00Z");
    let call = stack.catalog().post(&path).by(&organizer).json(&body);
    ensure_named(call.send().await?, "/sale_ends_at", "order")?;

    // None of all that had an effect.
    let event = stack
        .catalog()
        .get(format!("/v1/events/{event}"))
        .by(&organizer);
    let event = event.send().await?.expect(200)?;
    ensure!(event["version"] == 2, "{event}");
    Ok(())
}

#[tokio::test]
async fn several_wrong_fields_are_named_at_once() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let mut body = event_body();
    body["name"] = json!("");
    body["time_zone"] = json!("nowhere");
    let call = stack
        .catalog()
        .post("/v1/events")
        .by(&organizer)
        .json(&body);
    let problem = call.send().await?.expect_problem(422, "invalid")?;
    let pointers: Vec<_> = problem["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|e| &e["pointer"])
        .collect();
    ensure!(pointers == ["/name", "/time_zone"], "{problem}");
    Ok(())
}

#[tokio::test]
async fn every_wrong_parameter_of_the_list_is_named() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let long_search = format!("q={}", "x".repeat(101));
    let long_type = format!("type={}", "x".repeat(41));
    for (query, pointer, code) in [
        ("colour=red", "?colour", "unknown"),
        ("limit=0", "?limit", "invalid"),
        ("limit=201", "?limit", "invalid"),
        ("limit=ten", "?limit", "invalid"),
        ("cursor=nonsense", "?cursor", "invalid"),
        ("from=today", "?from", "invalid"),
        ("to=2000-01-01T00:00:00Z", "?to", "order"),
        ("city=", "?city", "length"),
        ("type=", "?type", "length"),
        ("q=%20", "?q", "length"),
        (long_search.as_str(), "?q", "length"),
        ("q=%3F%21", "?q", "text"),
        ("q=%E2%80%8B", "?q", "text"),
        ("city=a%00b", "?city", "text"),
        (long_type.as_str(), "?type", "length"),
        ("q=a&q=b", "?", "invalid"),
    ] {
        let answer = stack
            .catalog()
            .get(format!("/v1/events?{query}"))
            .send()
            .await?;
        ensure_named(answer, pointer, code)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_not_found() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    for id in [new_id().to_string(), "not-an-id".to_owned()] {
        let path = format!("/v1/events/{id}");
        for call in [
            stack.catalog().get(&path),
            stack.catalog().get(format!("{path}/availability")),
            stack.catalog().get(format!("{path}/ticket-types")),
            stack.catalog().post(format!("{path}/publish")),
            stack
                .catalog()
                .post(format!("{path}/ticket-types"))
                .json(&TicketType::vip(1).body()),
        ] {
            call.by(&organizer)
                .send()
                .await?
                .expect_problem(404, "not-found")?;
        }
    }
    Ok(())
}
