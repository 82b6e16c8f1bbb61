//! svc-checkout is stopped and killed while buyers order. No order that was answered is lost, none is made twice, and
//! the stock adds up.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::wait::SOON;
use e2e::{PublishedEvent, Role, Stack, TicketType, User, eventually, orders, users};
use futures::future::try_join_all;
use schemas::checkout::OrderReserved;
use schemas::topics;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

const BUYERS: usize = 12;
/// So many orders are answered before the fault, and so many more after it.
const ORDERS_AROUND: usize = 300;
/// More than all buyers can order while the test runs.
const SEATS: u32 = 50_000;
/// A buyer repeats his order until it is answered; a restarted process rebuilds its state first.
const ANSWER_DEADLINE: Duration = Duration::from_secs(90);
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

/// There is one svc-checkout: its faults take turns.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_under_load_loses_nothing() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let load = Load::start(&stack).await?;
    load.answered(ORDERS_AROUND).await?;

    let began = Instant::now();
    stack_command("stop").await?;
    let took = began.elapsed();
    let open = open_transactions(&stack);
    // Before anything is judged: the tests after this one need it.
    stack_command("start").await?;
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
    let load = Load::start(&stack).await?;
    load.answered(ORDERS_AROUND).await?;
    stack_command("kill").await?;
    stack_command("start").await?;
    load.answered(ORDERS_AROUND).await?;
    load.end_and_judge(&stack).await?;
    eventually(
        ABORT_DEADLINE,
        "the killed process's transactions to end",
        async || Ok(open_transactions(&stack)?.is_empty().then_some(())),
    )
    .await
}

/// `infra/local/stack <verb> svc-checkout`, on the stack that the environment names.
async fn stack_command(verb: &'static str) -> anyhow::Result<()> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/local/stack");
    let run = move || Command::new(program).args([verb, "svc-checkout"]).output();
    let output = tokio::task::spawn_blocking(run)
        .await?
        .context("infra/local/stack")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "stack {verb} svc-checkout: {said}");
    Ok(())
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

/// What one buyer was answered.
struct Bought {
    buyer: User,
    orders: Vec<Uuid>,
}

/// Buyers who order one ticket after the other.
struct Load {
    event: PublishedEvent,
    buyers: Vec<JoinHandle<anyhow::Result<Bought>>>,
    counts: Arc<Counts>,
    over: Arc<AtomicBool>,
}

#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    /// Requests that met the fault: no answer, or one that says to ask again.
    unanswered: AtomicUsize,
}

impl Load {
    async fn start(stack: &Stack) -> anyhow::Result<Self> {
        let organizer = stack.user(&[Role::Organizer]).await?;
        let event = stack
            .published_event(&organizer, &[TicketType::general(SEATS)])
            .await?;
        let users = try_join_all((0..BUYERS).map(|_| stack.customer())).await?;
        let mut load = Self {
            event,
            buyers: Vec::new(),
            counts: Arc::default(),
            over: Arc::default(),
        };
        for buyer in users {
            let (stack, event) = (stack.clone(), load.event.clone());
            let (counts, over) = (Arc::clone(&load.counts), Arc::clone(&load.over));
            load.buyers.push(tokio::spawn(async move {
                let mut orders = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    orders.push(order(&stack, &buyer, &event, &counts).await?);
                    counts.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Bought { buyer, orders })
            }));
        }
        Ok(load)
    }

    /// Waits until `more` orders are answered from now on, or a buyer has failed, of which the end of the load tells.
    async fn answered(&self, more: usize) -> anyhow::Result<()> {
        let wanted = self.counts.answered.load(Ordering::Relaxed) + more;
        let has_given_up = || self.buyers.iter().any(JoinHandle::is_finished);
        eventually(
            ANSWER_DEADLINE,
            &format!("{more} more orders"),
            async || {
                let enough = self.counts.answered.load(Ordering::Relaxed) >= wanted;
                Ok((enough || has_given_up()).then_some(()))
            },
        )
        .await
    }

    /// What was answered, what can be read, what the ledger says and what the stock says are one and the same.
    async fn end_and_judge(self, stack: &Stack) -> anyhow::Result<()> {
        self.over.store(true, Ordering::Relaxed);
        let unanswered = self.counts.unanswered.load(Ordering::Relaxed);
        ensure!(unanswered > 0, "the fault met no request");
        let mut answered = BTreeSet::new();
        let mut readers = Vec::new();
        for buyer in self.buyers {
            let bought = buyer.await??;
            for order in &bought.orders {
                ensure!(answered.insert(*order), "{order} was answered to two keys");
            }
            readers.push(tokio::spawn(all_readable(stack.clone(), bought)));
        }
        for reader in readers {
            reader.await??;
        }
        let reserved = reserved(stack, self.event.id).await?;
        let lost: Vec<_> = answered.difference(&reserved).collect();
        ensure!(lost.is_empty(), "answered and not in the ledger: {lost:?}");
        // Every key was asked until it was answered, so an order beyond these is a second one of some key.
        let surplus: Vec<_> = reserved.difference(&answered).collect();
        ensure!(
            surplus.is_empty(),
            "in the ledger and never answered: {surplus:?}"
        );
        all_held(stack, self.event.id, answered.len()).await
    }
}

/// Every order of an event in the ledger.
async fn reserved(stack: &Stack, event: Uuid) -> anyhow::Result<BTreeSet<Uuid>> {
    let mut reserved = BTreeSet::new();
    for seen in stack.all_records(topics::CHECKOUT_ORDERS.name).await? {
        if seen.is::<OrderReserved>() {
            let record: OrderReserved = seen.read()?;
            if record.event_id == event {
                ensure!(reserved.insert(record.order_id), "{seen} is there twice");
            }
        }
    }
    Ok(reserved)
}

/// The availability counts every order, and no other.
async fn all_held(stack: &Stack, event: Uuid, orders: usize) -> anyhow::Result<()> {
    eventually(SOON, &format!("{orders} held seats"), async || {
        let path = format!("/v1/events/{event}/availability");
        let shown = stack.gateway().get(path).send().await?.expect(200)?;
        let held = shown["ticket_types"][0]["held"].as_u64();
        ensure!(held == Some(orders as u64), "{shown}");
        Ok(Some(()))
    })
    .await
}

/// Orders one ticket under one key, and repeats it until it is answered, as our own clients do.
async fn order(
    stack: &Stack,
    buyer: &User,
    event: &PublishedEvent,
    counts: &Counts,
) -> anyhow::Result<Uuid> {
    let lines = [(event.ticket_types[0], 1)];
    let call = orders::place(stack.gateway(), buyer, event.id, &lines);
    let answer = eventually(ANSWER_DEADLINE, "an answer to an order", async || {
        let answer = call.clone().send().await;
        let ask_again = answer.as_ref().map_or(true, |answer| {
            answer.status == 503 || answer.body["code"] == "request-in-progress"
        });
        if ask_again {
            counts.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        Ok((!ask_again).then_some(answer?))
    })
    .await?;
    users::id_of(&answer.expect(201)?)
}

async fn all_readable(stack: Stack, bought: Bought) -> anyhow::Result<()> {
    for id in bought.orders {
        let path = format!("/v1/orders/{id}");
        let order = stack
            .gateway()
            .get(path)
            .by(&bought.buyer)
            .send()
            .await?
            .expect(200)?;
        ensure!(
            order["status"] == "reserved" && order["id"] == id.to_string(),
            "{order}"
        );
    }
    Ok(())
}
