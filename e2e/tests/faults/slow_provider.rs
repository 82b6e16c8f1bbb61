//! A payment provider that is slow and loses questions and answers: every payment comes to an end, and no money is lost.

use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::control::{stack, stack_command_with};
use e2e::orders::{CARD_PAID, pay, place};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Role, Stack, TicketType, User, eventually};
use futures::future::try_join_all;
use uuid::Uuid;

use crate::{TURN, stack_command};

const CHECKOUT: &str = "svc-checkout";
const LATENCY: Duration = Duration::from_millis(300);
/// So many that some fare each of the three ways, but for one run in a million.
const PAYMENTS: usize = 60;

/// Pays under one key until it is told the end: whether it is paid.
async fn paid(stack: &Stack, buyer: &User, order: Uuid) -> anyhow::Result<bool> {
    let call = pay(stack.checkout(), buyer, order, CARD_PAID);
    let started = Instant::now();
    let end = eventually(SOON * 3, "the end of a payment", async || {
        let answer = call.clone().send().await?;
        if answer.status == 503 {
            answer.expect_problem(503, "payment-pending")?;
            return Ok(None);
        }
        Ok(Some(answer))
    })
    .await?;
    ensure!(started.elapsed() >= LATENCY, "it was no slow provider");
    if end.status == 200 {
        return Ok(true);
    }
    end.expect_problem(402, "payment-declined")?;
    Ok(false)
}

async fn all_come_to_an_end(stack: &Stack) -> anyhow::Result<()> {
    let organizer = stack.user(&[Role::Organizer]).await?;
    let types = [TicketType::general(200)];
    let event = stack.published_event(&organizer, &types).await?;
    let buyer = stack.customer().await?;
    let lines = [(event.ticket_types[0], 1)];
    let payments = (0..PAYMENTS).map(|_| async {
        let order = place(stack.checkout(), &buyer, event.id, &lines);
        let order = id_of(&order.send().await?.expect(201)?)?;
        paid(stack, &buyer, order).await
    });
    let ends = try_join_all(payments).await?;
    let paid = ends.iter().filter(|is_paid| **is_paid).count();
    // Half of all are lost, and of half of these nothing was charged.
    ensure!((1..PAYMENTS).contains(&paid), "{paid} of {PAYMENTS} paid");
    let event = event.id.to_string();
    let audit = stack_audit(&event).await?;
    ensure!(audit.contains("verdict: "), "{audit}");
    Ok(())
}

/// What the auditor says, who must find nothing.
async fn stack_audit(event: &str) -> anyhow::Result<String> {
    let audit = stack(&["run", "checkout", "audit", "--event", event]).await?;
    let said = String::from_utf8_lossy(&audit.stdout).into_owned();
    ensure!(audit.status.success(), "{said}");
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_provider_that_loses_every_second_charge_costs_nobody_money() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let latency = LATENCY.as_millis().to_string();
    let variables = [
        (
            "SVC_CHECKOUT__CHECKOUT_SIMULATED_LATENCY_MS",
            latency.as_str(),
        ),
        ("SVC_CHECKOUT__CHECKOUT_SIMULATED_FAILURES_PERCENT", "50"),
    ];
    stack_command_with("start", CHECKOUT, &variables).await?;
    let came_of_it = all_come_to_an_end(&stack).await;
    // Before anything is judged: the tests after this one need it.
    stack_command("start", CHECKOUT).await?;
    came_of_it
}
