//! An event that is called off: every order of it comes to its end, and all money goes back.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::orders::{CARD_DECLINED, CARD_PAID, CARD_TIMES_OUT, pay, place};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Stack, TicketType, eventually};
use futures::future::try_join_all;
use platform::config::CqlConfig;
use platform::cql;
use schemas::Record;
use schemas::checkout::{
    OpenHold, OrderCancelled, OrderRefunded, PaymentConfirmed, PaymentFailed, PaymentRefundDue,
    PaymentRefunded,
};
use schemas::topics::{CHECKOUT_ORDERS, CHECKOUT_PAYMENTS, CHECKOUT_STATE};
use serde_json::Value;
use svc_checkout::domain::order::payment_id;
use svc_checkout::store::simulated_charges::{ChargeStatus, ChargeStore};
use uuid::Uuid;

use crate::Scene;

/// As `infra/local/stack` names it.
const KEYSPACE: &str = "checkout";
/// A charge whose answer got lost is settled some seconds later, and what it owes goes back after that.
const ALL_IS_OVER: Duration = Duration::from_secs(60);
/// Some more than one page of the walk reads of a bucket, together.
const PAID_ORDERS: usize = 40;
const AT_ONCE: usize = 8;

async fn ledger(stack: &Stack) -> anyhow::Result<ChargeStore> {
    let config = CqlConfig {
        nodes: vec![stack.cql_nodes.clone()],
        keyspace: KEYSPACE.to_owned(),
        replication_factor: 1,
        datacenter: "datacenter1".to_owned(),
        credentials: None,
    };
    Ok(ChargeStore::new(cql::connect(&config).await?).await?)
}

impl Scene {
    /// An order of one line.
    async fn one(&self, ticket_type: usize, quantity: u32) -> anyhow::Result<Uuid> {
        let lines = [(self.event.ticket_types[ticket_type], quantity)];
        let order = place(self.stack.checkout(), &self.buyer, self.event.id, &lines);
        id_of(&order.send().await?.expect(201)?)
    }

    async fn bought(&self, quantity: u32) -> anyhow::Result<Uuid> {
        let id = self.one(0, quantity).await?;
        let paid = pay(self.stack.checkout(), &self.buyer, id, CARD_PAID);
        paid.send().await?.expect(200)?;
        Ok(id)
    }

    async fn call_off(&self) -> anyhow::Result<Value> {
        let path = format!("/v1/events/{}/cancel", self.event.id);
        let cancel = self.stack.catalog().post(path).by(&self.organizer);
        cancel.send().await?.expect(200)
    }

    /// Status of each of the buyer's orders.
    async fn statuses(&self) -> anyhow::Result<HashMap<Uuid, String>> {
        let orders = self.stack.checkout().get("/v1/orders?limit=200");
        let orders = orders.by(&self.buyer).send().await?.expect(200)?;
        ensure!(orders["next_cursor"].is_null(), "one page is enough");
        let items = orders["items"].as_array().context("items")?;
        items
            .iter()
            .map(|order| {
                let status = order["status"].as_str().context("a status")?;
                Ok((id_of(order)?, status.to_owned()))
            })
            .collect()
    }

    /// Waits until no order is open or paid and everything is free again.
    async fn await_end(&self) -> anyhow::Result<HashMap<Uuid, String>> {
        let statuses = eventually(ALL_IS_OVER, "every order to end", async || {
            let statuses = self.statuses().await?;
            let goes_on = |status: &String| status == "reserved" || status == "paid";
            Ok((!statuses.values().any(goes_on)).then_some(statuses))
        })
        .await?;
        let path = format!("/v1/events/{}/availability", self.event.id);
        eventually(SOON, "all tickets to be free again", async || {
            let left = self.stack.catalog().get(&path).send().await?.expect(200)?;
            let types = left["ticket_types"].as_array().context("ticket types")?;
            let is_free = |left: &Value| left["held"] == 0 && left["sold"] == 0;
            Ok(types.iter().all(is_free).then_some(()))
        })
        .await?;
        Ok(statuses)
    }

    /// How many records of each name there are about these orders.
    async fn counts(
        &self,
        topic: &str,
        orders: &[Uuid],
    ) -> anyhow::Result<BTreeMap<&'static str, usize>> {
        let keys: Vec<String> = orders.iter().map(Uuid::to_string).collect();
        let mut counts = BTreeMap::new();
        for record in self.stack.all_records(topic).await? {
            if keys.contains(&record.key) {
                *counts.entry(record.name).or_default() += 1;
            }
        }
        Ok(counts)
    }
}

fn count<R: Record>(counts: &BTreeMap<&'static str, usize>) -> usize {
    counts.get(R::NAME).copied().unwrap_or(0)
}

/// Waits until the provider has given this order's only charge back.
async fn await_money_back(ledger: &ChargeStore, order: Uuid) -> anyhow::Result<()> {
    let payment = payment_id(order, 1);
    eventually(SOON, "the provider to pay back", async || {
        let charge = ledger.find(payment).await?;
        let (status, _) = charge.context("it was charged")?;
        Ok((status == ChargeStatus::Refunded).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_ends_and_all_money_goes_back() -> anyhow::Result<()> {
    let types = [TicketType::general(200), TicketType::vip(50).at(0)];
    let scene = Scene::with(&types).await?;
    let ledger = ledger(&scene.stack).await?;
    let mut paid = Vec::new();
    while paid.len() < PAID_ORDERS {
        paid.extend(try_join_all((0..AT_ONCE).map(|_| scene.bought(2))).await?);
    }
    let free = try_join_all((0..3).map(|_| scene.one(1, 2))).await?;
    let reserved = try_join_all((0..3).map(|_| scene.one(0, 1))).await?;
    let declined = pay(
        scene.stack.checkout(),
        &scene.buyer,
        reserved[0],
        CARD_DECLINED,
    );
    declined
        .send()
        .await?
        .expect_problem(402, "payment-declined")?;
    // Charged, and nobody says so for two seconds: it is being paid when the event is called off.
    let paying = scene.one(0, 4).await?;
    let mut state = scene.stack.records_from_now(CHECKOUT_STATE.name)?;
    let payment = pay(scene.stack.checkout(), &scene.buyer, paying, CARD_TIMES_OUT);
    let payment = tokio::spawn(payment.send());
    let is_open = |hold: OpenHold| hold.order_id == paying && hold.paying;
    state
        .wait_for("an open payment", SOON, |record| {
            record.is::<OpenHold>() && record.read().is_ok_and(is_open)
        })
        .await?;

    let event = scene.call_off().await?;
    ensure!(event["status"] == "cancelled", "{event}");
    let statuses = scene.await_end().await?;
    for order in paid.iter().chain(&free) {
        ensure!(statuses[order] == "refunded", "{order} {statuses:?}");
    }
    for order in &reserved {
        ensure!(statuses[order] == "cancelled", "{order} {statuses:?}");
    }
    // On a machine that takes two seconds for the cancellation it was paid first.
    let answer = payment.await??;
    if statuses[&paying] == "refunded" {
        paid.push(paying);
    } else {
        ensure!(statuses[&paying] == "cancelled", "{statuses:?}");
        answer.expect_problem(409, "order-cancelled")?;
        await_money_back(&ledger, paying).await?;
        let of_paying = scene.counts(CHECKOUT_PAYMENTS.name, &[paying]).await?;
        ensure!(count::<PaymentConfirmed>(&of_paying) == 0, "no tickets");
        ensure!(count::<PaymentRefundDue>(&of_paying) == 1, "{of_paying:?}");
    }
    for order in &paid {
        await_money_back(&ledger, *order).await?;
    }

    let orders = scene.counts(CHECKOUT_ORDERS.name, &paid).await?;
    ensure!(count::<OrderRefunded>(&orders) == paid.len(), "{orders:?}");
    let payments = eventually(SOON, "a record of each refund", async || {
        let payments = scene.counts(CHECKOUT_PAYMENTS.name, &paid).await?;
        Ok((count::<PaymentRefunded>(&payments) >= paid.len()).then_some(payments))
    })
    .await?;
    ensure!(
        count::<PaymentRefunded>(&payments) == paid.len(),
        "{payments:?}"
    );
    ensure!(
        count::<PaymentRefundDue>(&payments) == paid.len(),
        "{payments:?}"
    );
    let orders = scene.counts(CHECKOUT_ORDERS.name, &free).await?;
    ensure!(count::<OrderRefunded>(&orders) == free.len(), "{orders:?}");
    let payments = scene.counts(CHECKOUT_PAYMENTS.name, &free).await?;
    ensure!(count::<PaymentRefundDue>(&payments) == 0, "no money");
    let orders = scene.counts(CHECKOUT_ORDERS.name, &reserved).await?;
    ensure!(
        count::<OrderCancelled>(&orders) == reserved.len(),
        "{orders:?}"
    );
    let payments = scene.counts(CHECKOUT_PAYMENTS.name, &reserved).await?;
    ensure!(count::<PaymentFailed>(&payments) == 1, "{payments:?}");

    // What is left to say to buyers.
    let lines = [(scene.event.ticket_types[0], 1)];
    let late = place(scene.stack.checkout(), &scene.buyer, scene.event.id, &lines);
    late.send().await?.expect_problem(409, "sale-closed")?;
    let late = pay(scene.stack.checkout(), &scene.buyer, reserved[1], CARD_PAID);
    late.send().await?.expect_problem(409, "order-cancelled")?;
    let tickets = scene.stack.checkout().get("/v1/tickets?limit=200");
    let tickets = tickets.by(&scene.buyer).send().await?.expect(200)?;
    let tickets = tickets["items"].as_array().context("tickets")?;
    ensure!(!tickets.is_empty(), "revoked and still there");
    ensure!(
        tickets.iter().all(|ticket| ticket["status"] == "revoked"),
        "{tickets:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_buys_meanwhile_ends_without_tickets_and_without_a_charge() -> anyhow::Result<()> {
    const BUYERS: usize = 4;
    let scene = Scene::with(&[TicketType::general(1_000)]).await?;
    let ledger = ledger(&scene.stack).await?;
    let first = scene.bought(1).await?;
    let (scene, buyer) = (&scene, &scene.buyer);
    // Each buys until it is told that the sale is over.
    let buys = (0..BUYERS).map(async |_| {
        let checkout = scene.stack.checkout();
        let lines = [(scene.event.ticket_types[0], 1)];
        loop {
            let order = place(checkout, buyer, scene.event.id, &lines)
                .send()
                .await?;
            if order.status != 201 {
                order.expect_problem(409, "sale-closed")?;
                return anyhow::Ok(());
            }
            let id = id_of(&order.expect(201)?)?;
            let paid = pay(checkout, buyer, id, CARD_PAID).send().await?;
            if paid.status != 200 {
                paid.expect_problem(409, "order-cancelled")?;
            }
        }
    });
    let call_off = async {
        // In the middle of it.
        eventually(SOON, "some purchases", async || {
            Ok((scene.statuses().await?.len() > 4 * BUYERS).then_some(()))
        })
        .await?;
        scene.call_off().await
    };
    futures::try_join!(try_join_all(buys), call_off)?;

    let statuses = scene.await_end().await?;
    ensure!(statuses[&first] == "refunded", "{statuses:?}");
    for order in statuses.keys() {
        // Never charged, or charged and paid back.
        if ledger.find(payment_id(*order, 1)).await?.is_some() {
            await_money_back(&ledger, *order).await?;
        }
    }
    Ok(())
}
