//! The only svc-checkout dies while it takes back the orders of a cancelled event.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::orders::{CARD_PAID, pay, place};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Role, Stack, TicketType, eventually};
use futures::future::try_join_all;
use schemas::checkout::{OrderRefunded, PaymentRefundDue, PaymentRefunded};
use schemas::topics::{CHECKOUT_ORDERS, CHECKOUT_PAYMENTS};
use uuid::Uuid;

use crate::{TURN, stack_command};

const CHECKOUT: &str = "svc-checkout";
/// So many that some are left when the first one is refunded.
const ORDERS: usize = 240;
const AT_ONCE: usize = 16;
const ALL_REFUNDED: Duration = Duration::from_secs(90);

/// How many records of each kind there are about these orders.
async fn refunds(stack: &Stack, orders: &[Uuid]) -> anyhow::Result<[usize; 3]> {
    let keys: Vec<String> = orders.iter().map(Uuid::to_string).collect();
    let mut counts = [0; 3];
    for topic in [CHECKOUT_ORDERS.name, CHECKOUT_PAYMENTS.name] {
        let records = stack.all_records(topic).await?;
        for record in records.iter().filter(|record| keys.contains(&record.key)) {
            counts[0] += usize::from(record.is::<OrderRefunded>());
            counts[1] += usize::from(record.is::<PaymentRefundDue>());
            counts[2] += usize::from(record.is::<PaymentRefunded>());
        }
    }
    Ok(counts)
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_among_the_refunds_of_a_cancelled_event_leaves_none_out() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let ticket_types = [TicketType::general(1_000)];
    let event = stack.published_event(&organizer, &ticket_types).await?;
    let buyer = stack.customer().await?;
    let buy = async |_: usize| -> anyhow::Result<Uuid> {
        let lines = [(event.ticket_types[0], 1)];
        let order = place(stack.checkout(), &buyer, event.id, &lines);
        let id = id_of(&order.send().await?.expect(201)?)?;
        let paid = pay(stack.checkout(), &buyer, id, CARD_PAID).send().await?;
        paid.expect(200)?;
        Ok(id)
    };
    let mut orders = Vec::new();
    while orders.len() < ORDERS {
        orders.extend(try_join_all((0..AT_ONCE).map(&buy)).await?);
    }

    let mut refunded = stack.records_from_now(CHECKOUT_ORDERS.name)?;
    let cancel = format!("/v1/events/{}/cancel", event.id);
    let cancel = stack.catalog().post(cancel).by(&organizer).send().await?;
    cancel.expect(200)?;
    refunded
        .wait_for("the first refund", SOON, |record| {
            record.is::<OrderRefunded>() && orders.iter().any(|id| record.key == id.to_string())
        })
        .await?;
    stack_command("kill", CHECKOUT).await?;
    let [before, ..] = refunds(&stack, &orders).await?;
    stack_command("start", CHECKOUT).await?;

    let path = format!("/v1/events/{}/availability", event.id);
    eventually(ALL_REFUNDED, "no ticket to be sold", async || {
        let left = stack.catalog().get(&path).send().await?.expect(200)?;
        let left = left["ticket_types"].get(0).context("a ticket type")?;
        Ok((left["sold"] == 0 && left["held"] == 0).then_some(()))
    })
    .await?;
    let counts = eventually(ALL_REFUNDED, "all money to be paid back", async || {
        let counts = refunds(&stack, &orders).await?;
        Ok((counts[2] >= orders.len()).then_some(counts))
    })
    .await?;
    ensure!(
        counts == [orders.len(); 3],
        "each order once, {before} of {} before the kill: {counts:?}",
        orders.len()
    );
    Ok(())
}
