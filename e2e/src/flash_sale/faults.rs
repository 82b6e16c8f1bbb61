//! What goes wrong in the middle of the sale.

use std::time::Duration;

use anyhow::Context as _;
use platform::clock::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::owners::{self, FIRST, SECOND};
use super::progress::Progress;
use super::shopper::Sale;
use crate::control::stack_command;
use crate::stack::{Service, Stack};
use crate::wait::eventually;

/// The stack's program of the first svc-checkout, behind the gateway.
pub const FIRST_PROGRAM: &str = "svc-checkout";
/// And of the second one.
pub const SECOND_PROGRAM: &str = "svc-checkout-2";
/// The broker misses a member 6 s after its last sign; the rest is for a slow machine.
const MISSED_WITHIN: Duration = Duration::from_secs(30);
/// Holds of the small sales end within this time; the ones of a shop last ten minutes.
const FROZEN_AT_MOST: Duration = Duration::from_secs(30);
/// All services are ready again so soon after a server is; their clients wait longer from try to try.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// How the line of a fault begins that did not come.
pub const LEFT_OUT: &str = "left out";
/// So many of a hundred shoppers get through between two faults: each one shall meet a sale that goes on.
const PERCENT_BETWEEN: u64 = 4;

/// A fault. In the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// kill -9 of the first svc-checkout. It comes back when the broker has missed it, which is longer than a client
    /// waits for an answer: an order that was answered before its commit is lost by then.
    KillCheckout,
    /// The second svc-checkout stands still until the broker has missed it and one of its holds has ended, and then goes
    /// on as if nothing had been: it wants to end that hold, and somebody else already has.
    FreezeCheckout,
    /// kill -9 of the broker, and a start.
    KillKafka,
    /// kill -9 of the database, and a start.
    KillCassandra,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::KillCheckout,
        Self::FreezeCheckout,
        Self::KillKafka,
        Self::KillCassandra,
    ];

    /// It comes when so many of a hundred shoppers are through. Early: the seats are gone soon, and an order that is
    /// placed proves more than one that is refused.
    fn after_percent(self) -> u64 {
        match self {
            Self::KillCheckout => 2,
            Self::FreezeCheckout => 8,
            Self::KillKafka => 20,
            Self::KillCassandra => 40,
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::KillCheckout => "svc-checkout killed, started when the broker had missed it",
            Self::FreezeCheckout => {
                "svc-checkout-2 frozen until the broker had missed it and a hold had ended"
            }
            Self::KillKafka => "kafka killed and started",
            Self::KillCassandra => "cassandra killed and started",
        }
    }
}

/// Lets the faults come, each at its time. Ends early when all shoppers are through. What came, for the report.
pub async fn run(
    stack: &Stack,
    sale: &Sale,
    mut done: watch::Receiver<u64>,
    progress: &Progress,
) -> anyhow::Result<Vec<String>> {
    let mut told = Vec::new();
    let percent = |share| sale.settings.buyers * share / 100;
    let mut not_before = 0;
    for fault in &sale.settings.faults {
        let at = percent(fault.after_percent()).max(not_before);
        if done.wait_for(|done| *done >= at).await.is_err() {
            told.push(format!("{LEFT_OUT}, the sale was over: {}", fault.told()));
            continue;
        }
        let at = *done.borrow();
        // To be told, not to be judged.
        let seller = owners::seller(stack, sale.event.id).await;
        let seller = seller.ok().flatten().unwrap_or_else(|| "nobody".to_owned());
        let line = format!(
            "after {at} shoppers, while {seller} sells: {}",
            fault.told()
        );
        progress.say(&line);
        let began = Instant::now();
        sale.asker.tally.with(|counts| counts.in_fault = true);
        let ended = inflict(*fault, stack, sale).await;
        sale.asker.tally.with(|counts| counts.in_fault = false);
        ended.with_context(|| format!("{fault:?} did not heal"))?;
        let healed = format!(
            "all ready again {:.0} s later",
            began.elapsed().as_secs_f64()
        );
        progress.say(&healed);
        not_before = *done.borrow() + percent(PERCENT_BETWEEN);
        told.push(format!("{line}; {healed}"));
    }
    Ok(told)
}

async fn inflict(fault: Fault, stack: &Stack, sale: &Sale) -> anyhow::Result<()> {
    match fault {
        Fault::KillCheckout => {
            stack_command("kill", FIRST_PROGRAM).await?;
            let was_missed = missed(stack, FIRST).await;
            stack_command("start", FIRST_PROGRAM).await?;
            was_missed?;
        }
        Fault::FreezeCheckout => {
            stack_command("freeze", SECOND_PROGRAM).await?;
            let due = next_end_of_hold(sale);
            let was_missed = missed(stack, SECOND).await;
            if let Some(due) = due {
                sleep_until(due).await;
            }
            stack_command("thaw", SECOND_PROGRAM).await?;
            was_missed?;
        }
        Fault::KillKafka => restart("kafka").await?,
        Fault::KillCassandra => restart("cassandra").await?,
    }
    ready(stack).await
}

async fn restart(server: &str) -> anyhow::Result<()> {
    stack_command("kill", server).await?;
    stack_command("start", server).await
}

/// When the next hold ends that nobody pays or cancels. None if that is too far away to wait for.
fn next_end_of_hold(sale: &Sale) -> Option<Instant> {
    let now = Timestamp::now();
    let next = sale.asker.tally.with(|counts| {
        let ahead = counts.left_alone.iter().filter(|end| **end > now);
        ahead.min().copied()
    })?;
    let wait = next.since(now);
    (wait <= FROZEN_AT_MOST).then(|| Instant::now() + wait)
}

async fn missed(stack: &Stack, instance: &str) -> anyhow::Result<()> {
    eventually(
        MISSED_WITHIN,
        &format!("the broker to miss {instance}"),
        async || {
            let members = owners::members(stack).await?;
            Ok((!members.contains_key(instance)).then_some(()))
        },
    )
    .await
}

/// All services say that they can work.
pub async fn ready(stack: &Stack) -> anyhow::Result<()> {
    for service in Service::ALL {
        let what = format!("{} to be ready", service.name());
        eventually(READY_WITHIN, &what, async || {
            let answer = stack.admin_port(service).get("/readyz").send().await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await?;
    }
    Ok(())
}
