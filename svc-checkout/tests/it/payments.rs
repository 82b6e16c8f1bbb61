//! Paying.

use std::collections::HashSet;

use e2e::orders::{CARD_TIMES_OUT, order_body, pay, place};
use e2e::users::id_of;
use e2e::{Role, TicketType, wait::SOON};
use futures::future::try_join_all;
use schemas::checkout::{PaymentConfirmed, PaymentFailed};
use schemas::topics::CHECKOUT_PAYMENTS;
use serde_json::json;

use crate::Scene;

const GOOD: &str = "4242424242424242";
const DECLINED: &str = "4000000000000002";

#[tokio::test]
async fn twenty_payments_at_once_with_one_key_charge_once() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(10)]).await?;
    let checkout = scene.stack.checkout();
    let order = place(
        checkout,
        &scene.buyer,
        scene.event.id,
        &[(scene.event.ticket_types[0], 2)],
    )
    .send()
    .await?
    .expect(201)?;
    let id = id_of(&order)?;
    let body = json!({"method": {"type": "simulated", "card": GOOD}});
    let calls = (0..20).map(|_| {
        checkout
            .post(format!("/v1/orders/{id}/payment"))
            .by(&scene.buyer)
            .idempotency_key("pay")
            .json(&body)
            .send()
    });
    let mut tickets = HashSet::new();
    for answer in try_join_all(calls).await? {
        let paid = answer.expect(200)?;
        assert_eq!(paid["status"], "paid");
        tickets.insert(paid["tickets"].to_string());
    }
    assert_eq!(tickets.len(), 1, "everybody sees the same tickets");
    let confirmed = scene
        .stack
        .all_records(CHECKOUT_PAYMENTS.name)
        .await?
        .into_iter()
        .filter(|record| record.is::<PaymentConfirmed>() && record.key == id.to_string())
        .count();
    assert_eq!(confirmed, 1);
    Ok(())
}

#[tokio::test]
async fn a_declined_card_leaves_the_hold_and_says_so_again() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(10)]).await?;
    let checkout = scene.stack.checkout();
    let order = place(
        checkout,
        &scene.buyer,
        scene.event.id,
        &[(scene.event.ticket_types[0], 1)],
    )
    .send()
    .await?
    .expect(201)?;
    let id = id_of(&order)?;
    let mut payments = scene.stack.records(CHECKOUT_PAYMENTS.name)?;
    let attempt = |card: &str| {
        checkout
            .post(format!("/v1/orders/{id}/payment"))
            .by(&scene.buyer)
            .idempotency_key("first-try")
            .json(&json!({"method": {"type": "simulated", "card": card}}))
            .send()
    };
    attempt(DECLINED)
        .await?
        .expect_problem(402, "payment-declined")?;
    attempt(DECLINED)
        .await?
        .expect_problem(402, "payment-declined")?;
    attempt(GOOD)
        .await?
        .expect_problem(422, "idempotency-key-reused")?;
    let (_, failed) = payments.wait_for_key::<PaymentFailed>(id, SOON).await?;
    assert_eq!(failed.attempt, 1);
    let paid = pay(checkout, &scene.buyer, id, GOOD)
        .send()
        .await?
        .expect(200)?;
    assert_eq!(paid["status"], "paid");
    pay(checkout, &scene.buyer, id, GOOD)
        .send()
        .await?
        .expect_problem(409, "already-paid")?;
    // The old key still tells how its own attempt ended.
    attempt(DECLINED)
        .await?
        .expect_problem(402, "payment-declined")?;
    Ok(())
}

#[tokio::test]
async fn a_charge_whose_answer_gets_lost_comes_to_the_truth() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(10)]).await?;
    let checkout = scene.stack.checkout();
    let order = place(
        checkout,
        &scene.buyer,
        scene.event.id,
        &[(scene.event.ticket_types[0], 1)],
    )
    .send()
    .await?
    .expect(201)?;
    let id = id_of(&order)?;
    let paid = pay(checkout, &scene.buyer, id, CARD_TIMES_OUT)
        .send()
        .await?
        .expect(200)?;
    assert_eq!(paid["status"], "paid");
    assert_eq!(paid["tickets"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test]
async fn ticket_numbers_are_gapless_in_the_order_of_payment() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(40), TicketType::vip(40)]).await?;
    let checkout = scene.stack.checkout();
    let types = &scene.event.ticket_types;
    let buy = async |index: usize| -> anyhow::Result<Vec<i64>> {
        let lines = [(types[0], 1), (types[1], 1)];
        let wanted = if index.is_multiple_of(2) {
            &lines[..1]
        } else {
            &lines[..]
        };
        let order = place(checkout, &scene.buyer, scene.event.id, wanted)
            .send()
            .await?
            .expect(201)?;
        let paid = pay(checkout, &scene.buyer, id_of(&order)?, GOOD)
            .send()
            .await?
            .expect(200)?;
        let tickets = paid["tickets"].as_array().cloned().unwrap_or_default();
        Ok(tickets
            .iter()
            .filter_map(|ticket| ticket["number"].as_i64())
            .collect())
    };
    let numbers = try_join_all((0..20).map(buy)).await?;
    let mut all: Vec<i64> = numbers.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (1..=30).collect::<Vec<i64>>());
    let page = checkout
        .get("/v1/tickets?limit=200")
        .by(&scene.buyer)
        .send()
        .await?
        .expect(200)?;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(30));
    Ok(())
}

#[tokio::test]
async fn somebody_elses_order_cannot_be_paid() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(10)]).await?;
    let checkout = scene.stack.checkout();
    let order = place(
        checkout,
        &scene.buyer,
        scene.event.id,
        &[(scene.event.ticket_types[0], 1)],
    )
    .send()
    .await?
    .expect(201)?;
    let stranger = scene.stack.user(&[Role::Customer]).await?;
    pay(checkout, &stranger, id_of(&order)?, GOOD)
        .send()
        .await?
        .expect_problem(404, "not-found")?;
    Ok(())
}

#[tokio::test]
async fn five_cards_are_tried_and_no_sixth() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(10)]).await?;
    let checkout = scene.stack.checkout();
    let lines = [(scene.event.ticket_types[0], 1)];
    let order = place(checkout, &scene.buyer, scene.event.id, &lines);
    let id = id_of(&order.send().await?.expect(201)?)?;
    for _ in 0..5 {
        let declined = pay(checkout, &scene.buyer, id, DECLINED).send().await?;
        declined.expect_problem(402, "payment-declined")?;
    }
    let sixth = pay(checkout, &scene.buyer, id, GOOD).send().await?;
    sixth.expect_problem(409, "too-many-attempts")?;
    Ok(())
}

#[tokio::test]
async fn a_voucher_that_the_event_does_not_have_buys_nothing() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(10)]).await?;
    let mut body = order_body(scene.event.id, &[(scene.event.ticket_types[0], 1)]);
    body["voucher"] = json!("HALF");
    let call = scene.stack.checkout().post("/v1/orders").by(&scene.buyer);
    let refused = call.json(&body).send().await?;
    refused.expect_problem(409, "voucher-invalid")?;
    Ok(())
}
