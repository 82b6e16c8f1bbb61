//! How much can be written to support, and what of svc-checkout a case needs.

use e2e::users::id_of;
use e2e::{Role, Stack, TicketType, orders};
use serde_json::json;

use crate::cases::open;
use crate::own::Own;

const CASES: &str = "/v1/support/cases";
/// As svc-identity has it.
const MAX_MESSAGES: usize = 100;
/// Nobody listens there.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn a_case_takes_a_hundred_messages() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (api, customer) = (stack.identity(), stack.customer().await?);
    let id = id_of(&open(api, &customer, "And", "And").await?)?;
    let write = || {
        let call = api.post(format!("{CASES}/{id}/messages")).by(&customer);
        call.json(&json!({"message": "And"})).send()
    };
    for _ in 1..MAX_MESSAGES {
        write().await?.expect(201)?;
    }
    write().await?.expect_problem(409, "case-full")?;
    let closed = json!({"status": "closed"});
    let close = api.patch(format!("{CASES}/{id}")).by(&customer);
    let closed = close.json(&closed).send().await?.expect(200)?;
    assert_eq!(
        closed["messages"].as_array().map(Vec::len),
        Some(MAX_MESSAGES)
    );
    Ok(())
}

#[tokio::test]
async fn who_writes_too_much_waits_and_support_does_not() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let own = Own::start(&[("IDENTITY_LIMIT_CASE_MESSAGES", "2/1h")]).await?;
    let (customer, support) = (stack.customer().await?, stack.user(&[Role::Support]).await?);
    let id = id_of(&open(&own.api, &customer, "First", "One").await?)?;
    let path = format!("{CASES}/{id}/messages");
    let write = |by| own.api.post(&path).by(by).json(&json!({"message": "More"}));
    write(&customer).send().await?.expect(201)?;
    let third = write(&customer).send().await?;
    third.expect_problem(429, "too-many-requests")?;
    let another = json!({"subject": "Second", "message": "One"});
    let another = own.api.post(CASES).by(&customer).json(&another);
    another
        .send()
        .await?
        .expect_problem(429, "too-many-requests")?;
    for _ in 0..3 {
        write(&support).send().await?.expect(201)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_case_about_an_order_needs_it_to_be_ones_own() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let types = [TicketType::general(10)];
    let event = stack.published_event(&organizer, &types).await?;
    let (customer, other) = (stack.customer().await?, stack.customer().await?);
    let lines = [(event.ticket_types[0], 1)];
    let placed = orders::place(stack.checkout(), &customer, event.id, &lines);
    let order = id_of(&placed.send().await?.expect(201)?)?;
    let body = json!({"subject": "My order", "message": "Where is it?", "order_id": order});
    let open = |api: &e2e::Api, by| api.post(CASES).by(by).json(&body).send();
    let opened = open(stack.identity(), &customer).await?.expect(201)?;
    assert_eq!(opened["order_id"], json!(order));
    let foreign = open(stack.identity(), &other).await?;
    let foreign = foreign.expect_problem(422, "invalid")?;
    assert_eq!(foreign["errors"][0]["pointer"], "/order_id");

    // Without svc-checkout nobody knows whose it is, and everyone can still write.
    let own = Own::start(&[("CHECKOUT_URL", NOWHERE)]).await?;
    let away = open(&own.api, &customer).await?;
    let away = away.expect_problem(503, "unavailable")?;
    assert!(
        away["detail"].to_string().contains("leave order_id out"),
        "{away}"
    );
    crate::cases::open(&own.api, &customer, "My order", "Where is it?").await?;
    Ok(())
}
