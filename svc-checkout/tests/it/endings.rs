//! Orders that come to their end by somebody's wish.

use anyhow::Context as _;
use e2e::api::Call;
use e2e::orders::{CARD_PAID, pay, place};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Role, TicketType, User};
use futures::future::try_join_all;
use platform::ids::new_id;
use schemas::checkout::{EndReason, OrderCancelled, OrderRefunded, PaymentRefunded, StockLevel};
use schemas::topics::{CHECKOUT_ORDERS, CHECKOUT_PAYMENTS, CHECKOUT_STOCK};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Scene;

impl Scene {
    pub(crate) async fn order(&self, quantity: u32) -> anyhow::Result<Uuid> {
        let lines = [(self.event.ticket_types[0], quantity)];
        let order = place(self.stack.checkout(), &self.buyer, self.event.id, &lines);
        id_of(&order.send().await?.expect(201)?)
    }

    pub(crate) async fn paid_order(&self, quantity: u32) -> anyhow::Result<Value> {
        let id = self.order(quantity).await?;
        let paid = pay(self.stack.checkout(), &self.buyer, id, CARD_PAID);
        paid.send().await?.expect(200)
    }

    /// `ending`: cancel or refund.
    pub(crate) fn end(&self, order: Uuid, ending: &str, by: &User) -> Call {
        self.stack
            .checkout()
            .post(format!("/v1/orders/{order}/{ending}"))
            .by(by)
            .idempotency_key(&new_id().to_string())
    }

    /// The newest stock: held, sold, free.
    pub(crate) async fn stock(&self) -> anyhow::Result<(i64, i64, i64)> {
        let records = self.stack.all_records(CHECKOUT_STOCK.name).await?;
        let key = self.event.id.to_string();
        let newest = records
            .iter()
            .rev()
            .find(|record| record.key == key)
            .context("the event has a stock")?;
        let level: StockLevel = newest.read()?;
        let ticket_type = &level.ticket_types[0];
        Ok((ticket_type.held, ticket_type.sold, ticket_type.free))
    }
}

#[tokio::test]
async fn a_cancelled_order_gives_its_tickets_back_at_once() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(4)]).await?;
    let order = scene.order(3).await?;
    let mut records = scene.stack.records(CHECKOUT_ORDERS.name)?;
    let key = new_id().to_string();
    let wishes = (0..20).map(|_| {
        scene
            .end(order, "cancel", &scene.buyer)
            .idempotency_key(&key)
            .send()
    });
    for answer in try_join_all(wishes).await? {
        let cancelled = answer.expect(200)?;
        assert_eq!(cancelled["status"], "cancelled");
        assert_eq!(cancelled["expires_at"], Value::Null);
        assert_eq!(cancelled["version"], 2);
    }
    assert_eq!(scene.stock().await?, (0, 0, 4));
    let (_, record) = records.wait_for_key::<OrderCancelled>(order, SOON).await?;
    assert_eq!(record.version, 2);
    assert_eq!(record.reason, Some(EndReason::Asked));
    let shown = scene.stack.checkout().get(format!("/v1/orders/{order}"));
    let shown = shown.by(&scene.buyer).send().await?.expect(200)?;
    assert_eq!(shown["status"], "cancelled");
    assert_eq!(shown["number"], json!(record.number));
    // Another wish, and what else an ended order refuses.
    scene
        .end(order, "cancel", &scene.buyer)
        .send()
        .await?
        .expect_problem(409, "order-cancelled")?;
    scene
        .end(order, "refund", &scene.organizer)
        .send()
        .await?
        .expect_problem(409, "not-paid")?;
    pay(scene.stack.checkout(), &scene.buyer, order, CARD_PAID)
        .send()
        .await?
        .expect_problem(409, "order-cancelled")?;
    scene.order(4).await?;
    Ok(())
}

#[tokio::test]
async fn only_the_buyer_cancels_and_only_what_is_unpaid() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(10)]).await?;
    let order = scene.order(1).await?;
    let other = scene.stack.customer().await?;
    scene
        .end(order, "cancel", &other)
        .send()
        .await?
        .expect_problem(404, "not-found")?;
    scene
        .end(new_id(), "cancel", &scene.buyer)
        .send()
        .await?
        .expect_problem(404, "not-found")?;
    let paid = id_of(&scene.paid_order(1).await?)?;
    scene
        .end(paid, "cancel", &scene.buyer)
        .send()
        .await?
        .expect_problem(409, "use-refund")?;
    Ok(())
}

#[tokio::test]
async fn a_refund_takes_the_tickets_back_and_the_provider_pays_once() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(5)]).await?;
    let paid = scene.paid_order(2).await?;
    let order = id_of(&paid)?;
    let purchased_at = &paid["tickets"][0]["purchased_at"];
    let mut orders = scene.stack.records(CHECKOUT_ORDERS.name)?;
    let mut payments = scene.stack.records(CHECKOUT_PAYMENTS.name)?;
    assert_eq!(scene.stock().await?, (0, 2, 3));

    // Twenty wishes of their own, at once: one of them has the effect.
    let support = scene.stack.user(&[Role::Support]).await?;
    let wishes = (0..20).map(|n| {
        let by = if n % 2 == 0 {
            &scene.organizer
        } else {
            &support
        };
        scene.end(order, "refund", by).send()
    });
    let mut refunded = 0;
    for answer in try_join_all(wishes).await? {
        if answer.status == 200 {
            let answer = answer.expect(200)?;
            assert_eq!(answer["status"], "refunded");
            assert_eq!(answer["tickets"][0]["status"], "revoked");
            assert_eq!(&answer["tickets"][0]["purchased_at"], purchased_at);
            refunded += 1;
        } else {
            answer.expect_problem(409, "already-refunded")?;
        }
    }
    assert_eq!(refunded, 1);
    assert_eq!(scene.stock().await?, (0, 0, 5));
    let (_, record) = orders.wait_for_key::<OrderRefunded>(order, SOON).await?;
    assert_eq!(record.reason, Some(EndReason::Asked));
    let (_, repaid) = payments
        .wait_for_key::<PaymentRefunded>(order, SOON)
        .await?;
    assert_eq!(repaid.amount.amount, 2 * 2_500);
    let all = scene.stack.all_records(CHECKOUT_PAYMENTS.name).await?;
    let times = all
        .iter()
        .filter(|record| record.is::<PaymentRefunded>() && record.key == order.to_string())
        .count();
    assert_eq!(times, 1);
    let tickets = scene.stack.checkout().get("/v1/tickets");
    let tickets = tickets.by(&scene.buyer).send().await?.expect(200)?;
    assert_eq!(tickets["items"][0]["status"], "revoked");
    scene.order(5).await?;
    Ok(())
}

#[tokio::test]
async fn a_repeated_refund_is_one_refund() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(5)]).await?;
    let order = id_of(&scene.paid_order(1).await?)?;
    let key = new_id().to_string();
    for _ in 0..2 {
        let answer = scene
            .end(order, "refund", &scene.organizer)
            .idempotency_key(&key)
            .send()
            .await?
            .expect(200)?;
        assert_eq!(answer["status"], "refunded");
    }
    assert_eq!(scene.stock().await?, (0, 0, 5));
    Ok(())
}

#[tokio::test]
async fn one_key_on_two_orders_pays_and_ends_both() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(10)]).await?;
    for (what, status, by) in [
        ("payment", "paid", &scene.buyer),
        ("refund", "refunded", &scene.organizer),
        ("cancel", "cancelled", &scene.buyer),
    ] {
        for _ in 0..2 {
            let id = match what {
                "refund" => id_of(&scene.paid_order(1).await?)?,
                _ => scene.order(1).await?,
            };
            let call = match what {
                "payment" => pay(scene.stack.checkout(), by, id, CARD_PAID),
                _ => scene.end(id, what, by),
            };
            let answer = call.idempotency_key("one-key").send().await?;
            let order = answer.expect(200)?;
            assert_eq!(id_of(&order)?, id, "{what}");
            assert_eq!(order["status"], status, "{what}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn who_may_refund() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(5)]).await?;
    let held = scene.order(1).await?;
    let paid = id_of(&scene.paid_order(1).await?)?;
    scene
        .end(paid, "refund", &scene.buyer)
        .send()
        .await?
        .expect_problem(403, "forbidden")?;
    for stranger in [
        scene.stack.customer().await?,
        scene.stack.user(&[Role::Organizer]).await?,
        scene.stack.user(&[Role::Gate]).await?,
    ] {
        scene
            .end(paid, "refund", &stranger)
            .send()
            .await?
            .expect_problem(404, "not-found")?;
    }
    scene
        .end(held, "refund", &scene.organizer)
        .send()
        .await?
        .expect_problem(409, "not-paid")?;
    // There are no partial refunds: whoever asks for one shall know.
    let half = scene
        .end(paid, "refund", &scene.organizer)
        .json(&json!({"amount": {"amount": 1, "currency": "EUR"}}))
        .send()
        .await?
        .expect_problem(422, "invalid")?;
    assert_eq!(half["errors"][0]["pointer"], "/amount");
    assert_eq!(scene.stock().await?, (1, 1, 3));
    Ok(())
}
