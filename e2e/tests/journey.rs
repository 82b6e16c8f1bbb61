//! The whole journey of a purchase, through the gateway, from a stranger to a ticket in the mailbox.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use e2e::events::concert;
use e2e::wait::SOON;
use e2e::{Api, PublishedEvent, Role, Stack, TicketType, User, events, eventually, orders, users};
use mail_parser::{MessageParser, MimeHeaders as _};
use platform::ids::new_id;
use platform::kafka::partition_of;
use schemas::Record as _;
use schemas::checkout::{OrderReserved, PaymentConfirmed};
use schemas::topics;
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn a_stranger_buys_tickets() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let api = stack.gateway();
    let event = on_sale(&stack).await?;
    let [general, vip] = event.ticket_types[..] else {
        anyhow::bail!("two ticket types were made");
    };
    let buyer = register_and_sign_in(api).await?;

    let order_id = order_once(api, &buyer, &event).await?;
    availability(api, event.id, &[(general, 10, 2, 0), (vip, 4, 1, 0)]).await?;

    let mut payments = stack.records(topics::CHECKOUT_PAYMENTS.name)?;
    let paid = orders::pay(api, &buyer, order_id, orders::CARD_PAID)
        .send()
        .await?
        .expect(200)?;
    ensure!(paid["status"] == "paid", "{paid}");
    ensure!(
        paid["total"] == json!({"amount": 2 * 2_500 + 7_500, "currency": "EUR"}),
        "{paid}"
    );

    let tickets = tickets_of(api, &buyer, &paid).await?;
    let (seen, record) = payments
        .wait_for_key::<PaymentConfirmed>(order_id, SOON)
        .await?;
    ensure!(
        seen.partition == partition_of(event.id, stack.event_partitions),
        "{seen:?}"
    );
    cloud_event(&seen.headers, order_id)?;
    let mut recorded: Vec<(i64, String)> = record
        .tickets
        .iter()
        .map(|ticket| (ticket.number, ticket.ticket_id.to_string()))
        .collect();
    recorded.sort();
    ensure!(recorded == tickets, "{recorded:?} and {tickets:?}");
    ensure!(
        record.total.amount == 12_500 && record.user_id == buyer.id,
        "{record:?}"
    );

    let number = paid["number"].as_str().context("a number")?;
    // The history has its entry after the mail is out; a second mail would be out by then.
    in_the_history(api, &buyer, order_id).await?;
    one_french_mail(&stack, &buyer, &event, number).await?;
    availability(api, event.id, &[(general, 10, 0, 2), (vip, 4, 0, 1)]).await
}

/// Who looks into a trace finds the record that the request caused.
#[tokio::test]
async fn a_trace_goes_on_in_the_record() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let event = on_sale(&stack).await?;
    let buyer = stack.customer().await?;
    let trace = new_id().simple();
    let lines = [(event.ticket_types[0], 1)];
    let order = orders::place(stack.gateway(), &buyer, event.id, &lines)
        .header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))
        .send()
        .await?
        .expect(201)?;
    let mut reader = stack.records(topics::CHECKOUT_ORDERS.name)?;
    let order = users::id_of(&order)?;
    let (seen, _) = reader.wait_for_key::<OrderReserved>(order, SOON).await?;
    let traceparent = seen.headers.get("traceparent").map_or("", String::as_str);
    ensure!(
        traceparent.contains(&trace.to_string()),
        "trace {trace} ends before {seen:?}"
    );
    Ok(())
}

/// An organizer makes the event step by step.
async fn on_sale(stack: &Stack) -> anyhow::Result<PublishedEvent> {
    let api = stack.gateway();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event = concert(&format!("Journey {}", new_id().simple()), 40);
    let ticket_types = [TicketType::general(10), TicketType::vip(4).at_most(4)];
    let event = events::publish(api, &organizer, &event, &ticket_types).await?;

    let shown = api
        .get(format!("/v1/events/{}", event.id))
        .send()
        .await?
        .expect(200)?;
    ensure!(shown["status"] == "published", "{shown}");
    ensure!(shown["organizer_id"] == organizer.id.to_string(), "{shown}");
    ensure!(shown["time_zone"] == "Europe/Paris", "{shown}");
    ensure!(
        shown["ticket_types"].as_array().map(Vec::len) == Some(2),
        "{shown}"
    );
    Ok(event)
}

async fn register_and_sign_in(api: &Api) -> anyhow::Result<User> {
    let email = users::fresh_email("journey");
    let user = users::register(api, &email, "Camille Journée", "fr").await?;
    ensure!(user["email"] == email && user["locale"] == "fr", "{user}");
    ensure!(user["roles"] == json!(["customer"]), "{user}");
    ensure!(user.get("password").is_none(), "{user}");
    users::sign_in(api, &email)
        .await?
        .context("who registered can sign in")
}

/// Orders, and repeats it in every way that must not make a second order.
async fn order_once(api: &Api, buyer: &User, event: &PublishedEvent) -> anyhow::Result<Uuid> {
    let key = new_id().to_string();
    let lines = [(event.ticket_types[0], 2), (event.ticket_types[1], 1)];
    let place = || orders::place(api, buyer, event.id, &lines).idempotency_key(&key);
    let order = place().send().await?.expect(201)?;
    let id = users::id_of(&order)?;
    ensure!(
        order["status"] == "reserved" && order["expires_at"].is_string(),
        "{order}"
    );
    let number = order["number"].as_str().unwrap_or_default();
    ensure!(number.starts_with("O-") && number.len() == 12, "{order}");

    let again = place().send().await?.expect(201)?;
    ensure!(
        again["id"] == order["id"] && again["number"] == order["number"],
        "{again}"
    );
    let other = orders::place(api, buyer, event.id, &lines[..1]).idempotency_key(&key);
    other
        .send()
        .await?
        .expect_problem(422, "idempotency-key-reused")?;

    let shown = api
        .get(format!("/v1/orders/{id}"))
        .by(buyer)
        .send()
        .await?
        .expect(200)?;
    ensure!(
        shown["id"] == order["id"] && shown["lines"] == order["lines"],
        "{shown}"
    );
    let listed = api.get("/v1/orders").by(buyer).send().await?.expect(200)?;
    let items = listed["items"].as_array().context("a list")?;
    ensure!(
        items.len() == 1 && items[0]["id"] == order["id"],
        "{listed}"
    );
    Ok(id)
}

/// Number and id of the buyer's tickets, which are all of this order.
async fn tickets_of(api: &Api, buyer: &User, order: &Value) -> anyhow::Result<Vec<(i64, String)>> {
    let issued = codes(&order["tickets"])?;
    eventually(SOON, "three tickets in the list", async || {
        let page = api.get("/v1/tickets").by(buyer).send().await?.expect(200)?;
        let items = page["items"].as_array().context("a list")?;
        if items.len() < 3 {
            return Ok(None);
        }
        let mut tickets = Vec::new();
        for ticket in items {
            ensure!(ticket["order_id"] == order["id"], "{ticket}");
            ensure!(ticket["status"] == "valid", "{ticket}");
            let number = ticket["number"].as_i64().context("a number")?;
            tickets.push((number, users::id_of(ticket)?.to_string()));
        }
        tickets.sort();
        let numbers: Vec<i64> = tickets.iter().map(|(number, _)| *number).collect();
        ensure!(numbers == [1, 2, 3], "{numbers:?}");
        ensure!(codes(&page["items"])? == issued, "{page} and {order}");
        Ok(Some(tickets))
    })
    .await
}

/// The codes of tickets that have no attendee yet.
fn codes(tickets: &Value) -> anyhow::Result<BTreeSet<&str>> {
    let tickets = tickets.as_array().context("a list of tickets")?;
    let codes: BTreeSet<&str> = tickets.iter().filter_map(|t| t["code"].as_str()).collect();
    ensure!(codes.len() == tickets.len(), "a code each: {tickets:?}");
    for ticket in tickets {
        ensure!(ticket.get("attendee") == Some(&Value::Null), "{ticket}");
    }
    for code in &codes {
        let parts: Vec<&str> = code.split('.').collect();
        let is_jws = parts.len() == 3 && parts.iter().all(|part| !part.is_empty());
        ensure!(is_jws, "{code}");
    }
    Ok(codes)
}

fn cloud_event(headers: &BTreeMap<String, String>, order: Uuid) -> anyhow::Result<()> {
    let has = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    ensure!(has("ce_specversion", "1.0"), "{headers:?}");
    ensure!(has("ce_type", PaymentConfirmed::NAME), "{headers:?}");
    ensure!(has("ce_source", "/svc-checkout"), "{headers:?}");
    ensure!(has("ce_subject", &order.to_string()), "{headers:?}");
    ensure!(has("content-type", "application/avro"), "{headers:?}");
    for name in ["ce_id", "ce_time"] {
        ensure!(headers.contains_key(name), "{name} is not in {headers:?}");
    }
    Ok(())
}

async fn one_french_mail(
    stack: &Stack,
    buyer: &User,
    event: &PublishedEvent,
    number: &str,
) -> anyhow::Result<()> {
    let mailbox = stack.mailbox();
    let mail = mailbox
        .wait_for(&buyer.email, SOON, |mail| mail.says(number))
        .await?;
    let source = mailbox.source(&mail).await?;
    let parsed = MessageParser::default()
        .parse(&source)
        .context("a mail that can be read")?;
    let kind = parsed.content_type().context("a content type")?;
    ensure!(kind.ctype() == "multipart", "{kind:?}");
    ensure!(
        parsed.text_body_count() >= 1 && parsed.html_body_count() >= 1,
        "two versions"
    );
    let text = parsed.body_text(0).context("a plain part")?;
    ensure!(
        text.contains(&event.name),
        "the event's name is not in {text}"
    );
    ensure!(text.contains("billet"), "not French: {text}");
    let about = mailbox.to(&buyer.email).await?;
    let about = about.iter().filter(|mail| mail.says(number)).count();
    ensure!(about == 1, "{about} mails about one payment");
    Ok(())
}

async fn in_the_history(api: &Api, buyer: &User, order: Uuid) -> anyhow::Result<()> {
    let path = format!("/v1/notifications?order_id={order}");
    eventually(SOON, "a sent notification in the history", async || {
        let page = api.get(&path).by(buyer).send().await?.expect(200)?;
        let items = page["items"].as_array().context("a list")?;
        let Some(sent) = items.iter().find(|item| item["status"] == "sent") else {
            return Ok(None);
        };
        ensure!(
            sent["type"] == "email" && sent["language"] == "fr",
            "{sent}"
        );
        ensure!(
            sent["attempts"].as_i64() >= Some(1) && sent["sent_at"].is_string(),
            "{sent}"
        );
        Ok(Some(()))
    })
    .await
}

/// Waits until the availability of an event is this: ticket type, quantity, held, sold.
async fn availability(
    api: &Api,
    event: Uuid,
    wanted: &[(Uuid, i64, i64, i64)],
) -> anyhow::Result<()> {
    let mut wanted: Vec<Value> = wanted
        .iter()
        .map(|(id, quantity, held, sold)| {
            json!({
                "id": id, "quantity": quantity, "held": held, "sold": sold,
                "available": quantity - held - sold,
            })
        })
        .collect();
    let by_id = |line: &Value| line["id"].to_string();
    wanted.sort_by_key(by_id);
    eventually(SOON, &format!("the availability {wanted:?}"), async || {
        let path = format!("/v1/events/{event}/availability");
        let shown = api.get(path).send().await?.expect(200)?;
        let mut lines = shown["ticket_types"].as_array().context("a list")?.clone();
        lines.sort_by_key(by_id);
        ensure!(lines == wanted, "{shown}");
        Ok(Some(()))
    })
    .await
}
