//! Buyers who want an answer, whatever happens, and what is judged afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use e2e::wait::SOON;
use e2e::{PublishedEvent, Role, Stack, TicketType, User, eventually, orders, users};
use futures::future::try_join_all;
use platform::kafka::partition_of;
use schemas::checkout::OrderReserved;
use schemas::topics;
use tokio::task::JoinHandle;
use uuid::Uuid;

const BUYERS: usize = 12;
/// So many orders are answered before the fault, and so many more after it.
pub(crate) const ORDERS_AROUND: usize = 300;
/// More than all buyers can order while the test runs.
const SEATS: u32 = 50_000;
/// A buyer repeats his order until it is answered; a restarted process rebuilds its state first.
const ANSWER_DEADLINE: Duration = Duration::from_secs(90);

/// What one buyer was answered.
struct Bought {
    buyer: User,
    orders: Vec<Uuid>,
}

/// Which events are bought.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// All buyers want the same.
    OneEvent,
    /// Every partition has an event that is wanted.
    EveryPartition,
}

/// Buyers who order one ticket after the other.
pub(crate) struct Load {
    events: Vec<PublishedEvent>,
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
    pub(crate) async fn start(stack: &Stack, spread: Spread) -> anyhow::Result<Self> {
        let events = events(stack, spread, SEATS).await?;
        let users = try_join_all((0..BUYERS).map(|_| stack.customer())).await?;
        let mut load = Self {
            events,
            buyers: Vec::new(),
            counts: Arc::default(),
            over: Arc::default(),
        };
        for buyer in users {
            let (stack, events) = (stack.clone(), load.events.clone());
            let (counts, over) = (Arc::clone(&load.counts), Arc::clone(&load.over));
            load.buyers.push(tokio::spawn(async move {
                let mut orders = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let event = &events[orders.len() % events.len()];
                    orders.push(order(&stack, &buyer, event, &counts).await?);
                    counts.answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(Bought { buyer, orders })
            }));
        }
        Ok(load)
    }

    /// Waits until `more` orders are answered from now on, or a buyer has failed, of which the end of the load tells.
    pub(crate) async fn answered(&self, more: usize) -> anyhow::Result<()> {
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
    pub(crate) async fn end_and_judge(self, stack: &Stack) -> anyhow::Result<()> {
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
        let by_event = reserved(stack, &self.events).await?;
        let reserved: BTreeSet<Uuid> = by_event.values().flatten().copied().collect();
        let lost: Vec<_> = answered.difference(&reserved).collect();
        ensure!(lost.is_empty(), "answered and not in the ledger: {lost:?}");
        // Every key was asked until it was answered, so an order beyond these is a second one of some key.
        let surplus: Vec<_> = reserved.difference(&answered).collect();
        ensure!(
            surplus.is_empty(),
            "in the ledger and never answered: {surplus:?}"
        );
        for (event, orders) in by_event {
            all_held(stack, event, orders.len()).await?;
        }
        Ok(())
    }
}

/// One event, or one in every partition.
pub(crate) async fn events(
    stack: &Stack,
    spread: Spread,
    seats: u32,
) -> anyhow::Result<Vec<PublishedEvent>> {
    let organizer = stack.user(&[Role::Organizer]).await?;
    let mut wanted: BTreeSet<i32> = (0..stack.event_partitions).collect();
    let mut events = Vec::new();
    loop {
        let event = stack
            .published_event(&organizer, &[TicketType::general(seats)])
            .await?;
        if wanted.remove(&partition_of(event.id, stack.event_partitions)) {
            events.push(event);
        }
        if spread == Spread::OneEvent || wanted.is_empty() {
            return Ok(events);
        }
    }
}

/// Every order of these events in the ledger.
async fn reserved(
    stack: &Stack,
    events: &[PublishedEvent],
) -> anyhow::Result<BTreeMap<Uuid, BTreeSet<Uuid>>> {
    let mut reserved: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    for seen in stack.all_records(topics::CHECKOUT_ORDERS.name).await? {
        if seen.is::<OrderReserved>() {
            let record: OrderReserved = seen.read()?;
            if events.iter().any(|event| event.id == record.event_id) {
                let orders = reserved.entry(record.event_id).or_default();
                ensure!(orders.insert(record.order_id), "{seen} is there twice");
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
