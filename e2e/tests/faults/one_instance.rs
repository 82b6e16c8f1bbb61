//! The only svc-checkout goes and comes back.

use std::time::Duration;

use anyhow::ensure;
use e2e::{Stack, eventually};
use schemas::topics;
use tokio::time::Instant;

use crate::load::{Load, ORDERS_AROUND, Spread};
use crate::{TURN, stack_command};

const CHECKOUT: &str = "svc-checkout";
/// `stack stop` kills what does not stop by itself in 20 s, which would be another test than the one that was meant.
const STOP_DEADLINE: Duration = Duration::from_secs(15);
/// Transactions of a killed process end after transaction.timeout.ms, 10 s, at the latest.
const ABORT_DEADLINE: Duration = Duration::from_secs(30);

const LEDGERS: [&str; 4] = [
    topics::CHECKOUT_ORDERS.name,
    topics::CHECKOUT_PAYMENTS.name,
    topics::CHECKOUT_STOCK.name,
    topics::CHECKOUT_STATE.name,
];

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_nothing() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let load = Load::start(&stack, Spread::OneEvent).await?;
    load.answered(ORDERS_AROUND).await?;

    let began = Instant::now();
    stack_command("stop", CHECKOUT).await?;
    let took = began.elapsed();
    let open = open_transactions(&stack);
    // Before anything is judged: the tests after this one need it.
    stack_command("start", CHECKOUT).await?;
    ensure!(took < STOP_DEADLINE, "the stop took {} s", took.as_secs());
    let open = open?;
    ensure!(
        open.is_empty(),
        "a planned stop left transactions open: {open:?}"
    );

    load.answered(ORDERS_AROUND).await?;
    load.end_and_judge(&stack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_under_load_loses_nothing() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let load = Load::start(&stack, Spread::OneEvent).await?;
    load.answered(ORDERS_AROUND).await?;
    stack_command("kill", CHECKOUT).await?;
    stack_command("start", CHECKOUT).await?;
    load.answered(ORDERS_AROUND).await?;
    load.end_and_judge(&stack).await?;
    eventually(
        ABORT_DEADLINE,
        "the killed process's transactions to end",
        async || Ok(open_transactions(&stack)?.is_empty().then_some(())),
    )
    .await
}

/// Partitions of the ledgers whose readers wait for a transaction to end.
fn open_transactions(stack: &Stack) -> anyhow::Result<Vec<String>> {
    let mut open = Vec::new();
    for topic in LEDGERS {
        for (partition, behind) in stack.records(topic)?.behind_open_transactions()? {
            open.push(format!("{topic} {partition}: {behind} records"));
        }
    }
    Ok(open)
}
