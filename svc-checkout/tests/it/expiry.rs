//! A hold that is not paid gives its seats back. The test stack has short holds.

use std::time::Duration;

use e2e::orders::{pay, place};
use e2e::users::id_of;
use e2e::{TicketType, eventually};
use platform::clock::Timestamp;
use schemas::checkout::OrderExpired;
use schemas::topics::CHECKOUT_ORDERS;

use crate::Scene;

/// Longer than the test stack's holds last.
pub(crate) const HOLD_ENDS_WITHIN: Duration = Duration::from_secs(120);

#[tokio::test]
async fn an_unpaid_hold_expires_and_exactly_its_seats_can_be_bought_again() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(3)]).await?;
    let checkout = scene.stack.checkout();
    let want = |quantity| {
        place(
            checkout,
            &scene.buyer,
            scene.event.id,
            &[(scene.event.ticket_types[0], quantity)],
        )
        .send()
    };
    let order = want(3).await?.expect(201)?;
    let id = id_of(&order)?;
    let expires_at = Timestamp::parse(order["expires_at"].as_str().unwrap_or_default())?;
    want(1).await?.expect_problem(409, "sold-out")?;
    let path = format!("/v1/orders/{id}");
    let expired = eventually(HOLD_ENDS_WITHIN, "the hold to end", async || {
        let order = checkout
            .get(&path)
            .by(&scene.buyer)
            .send()
            .await?
            .expect(200)?;
        Ok((order["status"] == "expired").then_some(order))
    })
    .await?;
    assert_eq!(expired["expires_at"], serde_json::Value::Null);
    let (_, record) = scene
        .stack
        .records(CHECKOUT_ORDERS.name)?
        .wait_for_key::<OrderExpired>(id, e2e::wait::SOON)
        .await?;
    assert!(record.expired_at >= expires_at.as_micros(), "none early");
    pay(checkout, &scene.buyer, id, "4242424242424242")
        .send()
        .await?
        .expect_problem(409, "hold-expired")?;
    want(4).await?.expect_problem(409, "sold-out")?;
    want(3).await?.expect(201)?;
    Ok(())
}
