//! Orders with a voucher, from the organizer who makes it to the money that is charged.

use anyhow::{Context as _, ensure};
use e2e::orders::{CARD_DECLINED, CARD_PAID, order_body, pay, place};
use e2e::users::id_of;
use e2e::vouchers::{half, make, place_with};
use e2e::wait::SOON;
use e2e::{Answer, TicketType, User, eventually};
use futures::stream::{FuturesUnordered, StreamExt as _};
use platform::clock::Timestamp;
use platform::ids::new_id;
use schemas::checkout::{OrderExpired, OrderReserved, PaymentConfirmed, PaymentRefunded};
use schemas::topics::{CHECKOUT_ORDERS, CHECKOUT_PAYMENTS};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Scene;
use crate::expiry::HOLD_ENDS_WITHIN;

/// What a general ticket costs.
const PRICE: i64 = 2_500;

impl Scene {
    async fn voucher(&self, voucher: &Value) -> anyhow::Result<Value> {
        let call = make(
            self.stack.catalog(),
            &self.organizer,
            self.event.id,
            voucher,
        );
        call.send().await?.expect(201)
    }

    /// One ticket with the voucher.
    async fn one_with(&self, code: &str) -> anyhow::Result<Answer> {
        self.one_of(&self.buyer, code).await
    }

    async fn one_of(&self, buyer: &User, code: &str) -> anyhow::Result<Answer> {
        let lines = [(self.event.ticket_types[0], 1)];
        let checkout = self.stack.checkout();
        place_with(checkout, buyer, self.event.id, &lines, code)
            .send()
            .await
    }

    async fn used_up(&self, code: &str) -> anyhow::Result<()> {
        let answer = self.one_with(code).await?;
        answer.expect_problem(409, "voucher-used-up").map(drop)
    }

    async fn read(&self, id: Uuid) -> anyhow::Result<Value> {
        let call = self.stack.checkout().get(format!("/v1/orders/{id}"));
        call.by(&self.buyer).send().await?.expect(200)
    }

    async fn bring_to(&self, id: Uuid, how: &str) -> anyhow::Result<Value> {
        let by = if how == "refund" {
            &self.organizer
        } else {
            &self.buyer
        };
        let call = self.stack.checkout().post(format!("/v1/orders/{id}/{how}"));
        call.by(by).send().await?.expect(200)
    }

    /// Waits until the organizer sees so many uses.
    async fn shows_uses(&self, code: &str, uses: i64) -> anyhow::Result<()> {
        let path = format!("/v1/events/{}/vouchers", self.event.id);
        eventually(SOON, "the uses of the voucher", async || {
            let list = self.stack.catalog().get(&path).by(&self.organizer);
            let list = list.send().await?.expect(200)?;
            let mut vouchers = list["items"].as_array().into_iter().flatten();
            let voucher = vouchers.find(|voucher| voucher["code"] == code);
            let voucher = voucher.context("the voucher is in the list")?;
            Ok((voucher["uses"] == uses).then_some(()))
        })
        .await
    }
}

fn euros(amount: i64) -> Value {
    json!({"amount": amount, "currency": "EUR"})
}

#[tokio::test]
async fn the_discounted_total_is_charged_and_goes_back() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(20)]).await?;
    scene
        .voucher(&json!({"code": "third", "percent_off": 33, "max_uses": 1}))
        .await?;
    let order = scene.one_with(" Third ").await?.expect(201)?;
    let id = id_of(&order)?;
    // 33 % of 25.00 are 8.25.
    let (discount, total) = (825, PRICE - 825);
    ensure!(order["voucher"] == "THIRD", "{order}");
    ensure!(order["discount"] == euros(discount), "{order}");
    ensure!(order["total"] == euros(total), "{order}");
    ensure!(order["lines"][0]["line_total"] == euros(PRICE), "{order}");
    scene.used_up("third").await?;
    scene.shows_uses("THIRD", 1).await?;

    let (checkout, buyer) = (scene.stack.checkout(), &scene.buyer);
    pay(checkout, buyer, id, CARD_DECLINED)
        .send()
        .await?
        .expect_problem(402, "payment-declined")?;
    let paid = pay(checkout, buyer, id, CARD_PAID).send().await?;
    let paid = paid.expect(200)?;
    ensure!(
        paid["voucher"] == "THIRD" && paid["discount"] == euros(discount),
        "{paid}"
    );
    ensure!(paid["tickets"][0]["price"] == euros(PRICE), "{paid}");
    let mut payments = scene.stack.records(CHECKOUT_PAYMENTS.name)?;
    let (_, confirmed) = payments.wait_for_key::<PaymentConfirmed>(id, SOON).await?;
    ensure!(confirmed.total.amount == total, "{confirmed:?}");
    let used = confirmed.voucher.context("its voucher")?;
    ensure!(used.discount.amount == discount, "{used:?}");

    let refunded = scene.bring_to(id, "refund").await?;
    ensure!(refunded["voucher"] == "THIRD", "{refunded}");
    let (_, back) = payments.wait_for_key::<PaymentRefunded>(id, SOON).await?;
    ensure!(back.amount.amount == total, "what was paid goes back");
    scene.used_up("third").await
}

#[tokio::test]
async fn an_order_that_costs_nothing_any_more_is_paid_at_once() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(20)]).await?;
    scene
        .voucher(&json!({"code": "GIFT", "amount_off": euros(PRICE + 1), "max_uses": 5}))
        .await?;
    let order = scene.one_with("GIFT").await?.expect(201)?;
    ensure!(order["status"] == "paid", "{order}");
    ensure!(order["total"] == euros(0), "{order}");
    ensure!(order["discount"] == euros(PRICE), "{order}");
    ensure!(order["tickets"][0]["number"] == 1, "{order}");
    let id = id_of(&order)?;
    ensure!(scene.read(id).await? == order, "the row says the same");
    pay(scene.stack.checkout(), &scene.buyer, id, CARD_PAID)
        .send()
        .await?
        .expect_problem(409, "already-paid")?;
    let refunded = scene.bring_to(id, "refund").await?;
    ensure!(refunded["status"] == "refunded", "{refunded}");
    scene.shows_uses("GIFT", 1).await
}

#[tokio::test]
async fn what_is_no_voucher_of_the_event_is_refused_alike() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(20)]).await?;
    let other = Scene::with(&[TicketType::general(20)]).await?;
    other.voucher(&half("FOREIGN", 9)).await?;
    scene
        .voucher(
            &json!({"code": "OVER", "percent_off": 50, "max_uses": 9, "valid_until": "2026-01-01T00:00:00Z"}),
        )
        .await?;
    scene.voucher(&half("GONE", 9)).await?;
    scene.one_with("GONE").await?.expect(201)?;
    let gone = format!("/v1/events/{}/vouchers/gone", scene.event.id);
    let delete = scene.stack.catalog().delete(gone).by(&scene.organizer);
    ensure!(delete.send().await?.status == 204, "deleted");
    eventually(SOON, "the box office to hear of it", async || {
        Ok((scene.one_with("GONE").await?.status == 409).then_some(()))
    })
    .await?;
    let mut said = Vec::new();
    for code in ["NEVER-WAS", "FOREIGN", "OVER", "GONE", "no code at all", ""] {
        let problem = scene.one_with(code).await?;
        let problem = problem.expect_problem(409, "voucher-invalid")?;
        said.push(problem["detail"].clone());
    }
    said.dedup();
    ensure!(said.len() == 1, "codes can be told apart: {said:?}");
    let path = format!("/v1/events/{}/availability", scene.event.id);
    let left = scene.stack.catalog().get(path).send().await?.expect(200)?;
    ensure!(left["ticket_types"][0]["held"] == 1, "{left}");
    Ok(())
}

#[tokio::test]
async fn a_voucher_is_part_of_the_wish_that_a_key_names() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(20)]).await?;
    scene.voucher(&half("ONCE", 1)).await?;
    let plain = order_body(scene.event.id, &[(scene.event.ticket_types[0], 1)]);
    let mut with_voucher = plain.clone();
    with_voucher["voucher"] = json!("ONCE");
    let key = new_id().to_string();
    let send = async |body: &Value| {
        let call = scene.stack.checkout().post("/v1/orders").by(&scene.buyer);
        call.idempotency_key(&key).json(body).send().await
    };
    let order = send(&with_voucher).await?.expect(201)?;
    // Used up by its own order, which its repeat gets all the same.
    ensure!(send(&with_voucher).await?.expect(201)? == order);
    send(&plain)
        .await?
        .expect_problem(422, "idempotency-key-reused")?;
    scene.used_up("ONCE").await?;
    scene.shows_uses("ONCE", 1).await
}

#[tokio::test]
async fn a_use_comes_back_with_a_hold_that_is_cancelled_or_ends() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(20)]).await?;
    scene.voucher(&half("ONCE", 1)).await?;
    let cancelled = id_of(&scene.one_with("ONCE").await?.expect(201)?)?;
    scene.used_up("ONCE").await?;
    scene.bring_to(cancelled, "cancel").await?;
    scene.shows_uses("ONCE", 0).await?;

    let expired = id_of(&scene.one_with("ONCE").await?.expect(201)?)?;
    scene.used_up("ONCE").await?;
    let mut orders = scene.stack.records(CHECKOUT_ORDERS.name)?;
    let (_, reserved) = orders.wait_for_key::<OrderReserved>(expired, SOON).await?;
    let (_, record) = orders
        .wait_for_key::<OrderExpired>(expired, HOLD_ENDS_WITHIN)
        .await?;
    ensure!(record.voucher == reserved.voucher && record.voucher.is_some());
    scene.shows_uses("ONCE", 0).await?;
    scene.one_with("ONCE").await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn new_terms_count_for_new_orders() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(20)]).await?;
    let made = scene.voucher(&half("MORE", 1)).await?;
    let first = scene.one_with("MORE").await?.expect(201)?;
    scene.used_up("MORE").await?;
    let soon = Timestamp::now() + HOLD_ENDS_WITHIN;
    let change =
        json!({"code": "MORE", "amount_off": euros(100), "max_uses": 2, "valid_until": soon});
    let path = format!("/v1/events/{}/vouchers/MORE", scene.event.id);
    let put = scene.stack.catalog().put(path).by(&scene.organizer);
    let version = made["version"].as_i64().context("a version")?;
    let put = put.if_match(&format!("\"{version}\"")).json(&change);
    put.send().await?.expect(200)?;
    let second = eventually(SOON, "the box office to hear of it", async || {
        let answer = scene.one_with("MORE").await?;
        Ok((answer.status == 201).then_some(answer))
    })
    .await?;
    let second = second.expect(201)?;
    ensure!(second["discount"] == euros(100), "{second}");
    let first = scene.read(id_of(&first)?).await?;
    ensure!(first["discount"] == euros(PRICE / 2), "{first}");
    scene.used_up("MORE").await
}

/// More than one user may guess at once in a local stack (60).
const GUESSES: usize = 100;

#[tokio::test]
async fn who_guesses_vouchers_is_stopped_and_nobody_else_is() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(20)]).await?;
    scene.voucher(&half("SECRET", 9)).await?;
    // Known to the box office, and used as often as anybody likes.
    for _ in 0..2 {
        scene.one_with("SECRET").await?.expect(201)?;
    }
    let guesser = scene.stack.customer().await?;
    let codes: Vec<String> = (0..GUESSES).map(|n| format!("GUESS-{n}")).collect();
    let guesses = codes.iter().map(|code| scene.one_of(&guesser, code));
    let mut guesses: FuturesUnordered<_> = guesses.collect();
    // All at once: those beyond the limit are refused while the first ones still wait for a voucher that may come.
    let (mut told, mut stopped) = (0, 0);
    while let Some(answer) = guesses.next().await {
        let answer = answer?;
        if answer.status == 409 {
            told += 1;
            answer.expect_problem(409, "voucher-invalid")?;
            continue;
        }
        let wait = answer.header("retry-after").context("when to come back")?;
        ensure!((1..=600).contains(&wait.parse::<u32>()?), "{wait}");
        answer.expect_problem(429, "too-many-requests")?;
        stopped += 1;
        if stopped == 1 {
            // What is right is not told apart from what is wrong.
            let right = scene.one_of(&guesser, "secret").await?;
            right.expect_problem(429, "too-many-requests")?;
        }
    }
    ensure!(
        (60..=62).contains(&told) && stopped >= GUESSES - 62,
        "{told} told and {stopped} stopped"
    );
    let lines = [(scene.event.ticket_types[0], 1)];
    let plain = place(scene.stack.checkout(), &guesser, scene.event.id, &lines);
    plain.send().await?.expect(201)?;
    scene.one_with("SECRET").await?.expect(201)?;
    Ok(())
}
