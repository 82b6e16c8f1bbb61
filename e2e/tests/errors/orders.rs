//! Orders that the rules refuse.

use anyhow::ensure;
use e2e::{PublishedEvent, Role, Stack, TicketType, User, orders, users};
use platform::ids::new_id;

/// An event with one ticket type, and someone to buy.
async fn sale(stack: &Stack, ticket_type: TicketType) -> anyhow::Result<(PublishedEvent, User)> {
    let organizer = stack.user(&[Role::Organizer]).await?;
    let event = stack.published_event(&organizer, &[ticket_type]).await?;
    Ok((event, stack.customer().await?))
}

#[tokio::test]
async fn a_foreign_order_is_not_there() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let api = stack.gateway();
    let (event, buyer) = sale(&stack, TicketType::general(5)).await?;
    let lines = [(event.ticket_types[0], 1)];
    let order = orders::place(api, &buyer, event.id, &lines)
        .send()
        .await?
        .expect(201)?;
    let order = users::id_of(&order)?;
    let stranger = stack.customer().await?;

    let path = format!("/v1/orders/{order}");
    let foreign = api
        .get(&path)
        .by(&stranger)
        .send()
        .await?
        .expect_problem(404, "not-found")?;
    let missing = api
        .get(format!("/v1/orders/{}", new_id()))
        .by(&stranger)
        .send()
        .await?;
    let missing = missing.expect_problem(404, "not-found")?;
    ensure!(
        foreign["detail"] == missing["detail"],
        "{foreign} and {missing} tell them apart"
    );
    orders::pay(api, &stranger, order, orders::CARD_PAID)
        .send()
        .await?
        .expect_problem(404, "not-found")?;
    let cancel = api
        .post(format!("{path}/cancel"))
        .by(&stranger)
        .send()
        .await?;
    cancel.expect_problem(404, "not-found")?;
    let kept = api.get(&path).by(&buyer).send().await?.expect(200)?;
    ensure!(kept["status"] == "reserved", "{kept}");
    Ok(())
}

#[tokio::test]
async fn an_unknown_event_is_not_found() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let buyer = stack.customer().await?;
    let call = orders::place(stack.gateway(), &buyer, new_id(), &[(new_id(), 1)]);
    call.send().await?.expect_problem(404, "unknown-event")?;
    Ok(())
}

#[tokio::test]
async fn an_unknown_ticket_type_is_not_found() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (event, buyer) = sale(&stack, TicketType::general(5)).await?;
    let call = orders::place(stack.gateway(), &buyer, event.id, &[(new_id(), 1)]);
    call.send()
        .await?
        .expect_problem(404, "unknown-ticket-type")?;
    Ok(())
}

#[tokio::test]
async fn the_last_seat_is_sold_once() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let api = stack.gateway();
    let (event, buyer) = sale(&stack, TicketType::general(3)).await?;
    let lines = |quantity| [(event.ticket_types[0], quantity)];
    orders::place(api, &buyer, event.id, &lines(2))
        .send()
        .await?
        .expect(201)?;
    // All of an order or nothing: two are wanted and one is left.
    let late = stack.customer().await?;
    let refused = orders::place(api, &late, event.id, &lines(2))
        .send()
        .await?;
    refused.expect_problem(409, "sold-out")?;
    orders::place(api, &late, event.id, &lines(1))
        .send()
        .await?
        .expect(201)?;
    let refused = orders::place(api, &late, event.id, &lines(1))
        .send()
        .await?;
    refused.expect_problem(409, "sold-out")?;
    Ok(())
}

#[tokio::test]
async fn nobody_buys_more_than_the_limit() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let api = stack.gateway();
    let (event, buyer) = sale(&stack, TicketType::general(10).at_most(2)).await?;
    let lines = |quantity| [(event.ticket_types[0], quantity)];
    let refused = orders::place(api, &buyer, event.id, &lines(3))
        .send()
        .await?;
    refused.expect_problem(409, "limit-per-buyer")?;
    orders::place(api, &buyer, event.id, &lines(2))
        .send()
        .await?
        .expect(201)?;
    let refused = orders::place(api, &buyer, event.id, &lines(1))
        .send()
        .await?;
    refused.expect_problem(409, "limit-per-buyer")?;
    Ok(())
}

#[tokio::test]
async fn a_declined_card_can_be_followed_by_a_good_one() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let api = stack.gateway();
    let (event, buyer) = sale(&stack, TicketType::general(5)).await?;
    let lines = [(event.ticket_types[0], 1)];
    let order = orders::place(api, &buyer, event.id, &lines)
        .send()
        .await?
        .expect(201)?;
    let order = users::id_of(&order)?;

    let declined = orders::pay(api, &buyer, order, orders::CARD_DECLINED);
    declined
        .clone()
        .send()
        .await?
        .expect_problem(402, "payment-declined")?;
    // A repeat of a declined payment is the same decision, not a second attempt.
    declined
        .send()
        .await?
        .expect_problem(402, "payment-declined")?;
    let path = format!("/v1/orders/{order}");
    let open = api.get(path).by(&buyer).send().await?.expect(200)?;
    ensure!(
        open["status"] == "reserved" && open["tickets"] == serde_json::json!([]),
        "{open}"
    );

    let paid = orders::pay(api, &buyer, order, orders::CARD_PAID)
        .send()
        .await?
        .expect(200)?;
    ensure!(paid["status"] == "paid", "{paid}");
    ensure!(
        paid["tickets"].as_array().map(Vec::len) == Some(1),
        "{paid}"
    );
    let again = orders::pay(api, &buyer, order, orders::CARD_PAID)
        .send()
        .await?;
    again.expect_problem(409, "already-paid")?;
    Ok(())
}
