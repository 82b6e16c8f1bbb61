//! What svc-checkout knows when it comes back is what it had committed, and no more is needed to be right.

use anyhow::{Context as _, ensure};
use e2e::control::stack_command_with;
use e2e::orders::{CARD_PAID, pay, place};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{PublishedEvent, Role, Stack, TicketType, User, eventually};
use platform::ids::new_id;
use platform::kafka::partition_of;
use platform::kafka::producer::Producer;
use rdkafka::message::OwnedHeaders;
use schemas::checkout::{OrderReserved, PartitionPosition, RecentCommands};
use schemas::topics::{CHECKOUT_ORDERS, CHECKOUT_STATE};
use serde_json::Value;
use uuid::Uuid;

use crate::{TURN, stack_command};

const CHECKOUT: &str = "svc-checkout";
/// A buyer of the event below gets no more.
const LIMIT: u32 = 3;

struct Sale {
    stack: Stack,
    event: PublishedEvent,
}

impl Sale {
    async fn open() -> anyhow::Result<Self> {
        let stack = Stack::from_env();
        let organizer = stack.user(&[Role::Organizer]).await?;
        let types = [TicketType::general(20).at_most(LIMIT)];
        let event = stack.published_event(&organizer, &types).await?;
        Ok(Self { stack, event })
    }

    /// An order under this key, once svc-checkout answers.
    async fn place(&self, buyer: &User, quantity: u32, key: &str) -> anyhow::Result<e2e::Answer> {
        let lines = [(self.event.ticket_types[0], quantity)];
        let call = place(self.stack.checkout(), buyer, self.event.id, &lines).idempotency_key(key);
        eventually(SOON, "an answer", async || {
            let answer = call.clone().send().await?;
            Ok((answer.status != 503).then_some(answer))
        })
        .await
    }

    /// The number of a ticket that somebody buys.
    async fn number(&self) -> anyhow::Result<Value> {
        let buyer = self.stack.customer().await?;
        let order = self.place(&buyer, 1, "one").await?.expect(201)?;
        let paid = pay(self.stack.checkout(), &buyer, id_of(&order)?, CARD_PAID);
        let paid = paid.send().await?.expect(200)?;
        Ok(paid["tickets"][0]["number"].clone())
    }

    fn partition(&self) -> i32 {
        partition_of(self.event.id, self.stack.event_partitions)
    }

    /// Who owns each partition, as its state has it.
    async fn owners(&self) -> anyhow::Result<Vec<String>> {
        let partitions = usize::try_from(self.stack.event_partitions)?;
        let mut owners = vec![String::new(); partitions];
        for record in self.stack.all_records(CHECKOUT_STATE.name).await? {
            if record.is::<PartitionPosition>() {
                let position: PartitionPosition = record.read()?;
                owners[usize::try_from(record.partition)?] = position.owner;
            }
        }
        Ok(owners)
    }

    /// The order of this buyer, as soon as the log has it.
    async fn order_in_the_log(&self, buyer: &User) -> anyhow::Result<Uuid> {
        eventually(SOON, "the order in the log", async || {
            let records = self.stack.all_records(CHECKOUT_ORDERS.name).await?;
            let of_event = records
                .iter()
                .filter(|it| it.is::<OrderReserved>() && it.has(&self.event.id.to_string()));
            for record in of_event {
                let order: OrderReserved = record.read()?;
                if order.user_id == buyer.id {
                    return Ok(Some(order.order_id));
                }
            }
            Ok(None)
        })
        .await
    }

    async fn times_reserved(&self, order: Uuid) -> anyhow::Result<usize> {
        let records = self.stack.all_records(CHECKOUT_ORDERS.name).await?;
        let key = order.to_string();
        let of_order = records.iter().filter(|record| record.key == key);
        Ok(of_order
            .filter(|record| record.is::<OrderReserved>())
            .count())
    }

    /// Takes what the box office remembers of the command that made this order, as it does itself after a day.
    async fn forget(&self, order: Uuid) -> anyhow::Result<()> {
        let records = self.stack.all_records(CHECKOUT_STATE.name).await?;
        let mut commands = records
            .iter()
            .filter(|record| record.is::<RecentCommands>() && record.partition == self.partition());
        let batch = commands.find(|record| {
            let batch = record.read::<RecentCommands>();
            batch.is_ok_and(|batch| batch.effects.iter().any(|did| did.order_id == order))
        });
        let batch = batch.context("the command is remembered")?;
        let producer = Producer::new(&self.stack.kafka_brokers, "restart")?;
        let sent = producer.send_to(
            CHECKOUT_STATE.name,
            self.partition(),
            &batch.key,
            OwnedHeaders::new(),
            None,
        );
        Ok(sent.await?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_before_a_kill_is_known_after_it() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let sale = Sale::open().await?;
    let buyer = sale.stack.customer().await?;
    let key = new_id().to_string();
    let held = sale.place(&buyer, 2, &key).await?.expect(201)?;
    let held_id = id_of(&held)?;
    ensure!(sale.number().await? == 1);
    let before = sale.owners().await?;

    stack_command("kill", CHECKOUT).await?;
    stack_command("start", CHECKOUT).await?;

    // Commands that had an effect, buyers' counts, holds, the counter of tickets.
    let again = sale.place(&buyer, 2, &key).await?.expect(201)?;
    ensure!(id_of(&again)? == held_id, "{again}");
    ensure!(sale.times_reserved(held_id).await? == 1, "one effect");
    let more = sale.place(&buyer, 2, &new_id().to_string()).await?;
    more.expect_problem(409, "limit-per-buyer")?;
    ensure!(sale.number().await? == 2);
    let paid = pay(sale.stack.checkout(), &buyer, held_id, CARD_PAID);
    let paid = paid.send().await?.expect(200)?;
    ensure!(paid["tickets"][0]["number"] == 3, "{paid}");
    let path = format!("/v1/events/{}/availability", sale.event.id);
    eventually(SOON, "four seats to be sold", async || {
        let left = sale.stack.catalog().get(&path).send().await?.expect(200)?;
        let left = &left["ticket_types"][0];
        Ok((left["sold"] == 4 && left["held"] == 0).then_some(()))
    })
    .await?;

    // A name of its own for every life, or a fence meant for the dead one would hit this one.
    let after = sale.owners().await?;
    for (before, after) in before.iter().zip(&after) {
        ensure!(
            after.starts_with("svc-checkout-1-") && after != before,
            "{before} and then {after}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_committed_and_not_answered_is_its_repeats() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let sale = Sale::open().await?;
    // The box office has the event.
    sale.number().await?;
    let buyer = sale.stack.customer().await?;
    let key = new_id().to_string();
    let lines = [(sale.event.ticket_types[0], 1)];
    let call = place(sale.stack.checkout(), &buyer, sale.event.id, &lines).idempotency_key(&key);

    // Without its row an order is not answered.
    stack_command("freeze", "cassandra").await?;
    let asked = tokio::spawn(call.send());
    let committed = sale.order_in_the_log(&buyer).await;
    let killed = stack_command("kill", CHECKOUT).await;
    stack_command("thaw", "cassandra").await?;
    stack_command("start", CHECKOUT).await?;
    killed?;
    let committed = committed?;
    let was_answered = asked.await?.is_ok_and(|answer| answer.status == 201);
    ensure!(!was_answered, "answered before its row was written");

    let again = sale.place(&buyer, 1, &key).await?.expect(201)?;
    ensure!(id_of(&again)? == committed, "{again}, not {committed}");
    ensure!(sale.times_reserved(committed).await? == 1, "one effect");
    let path = format!("/v1/orders/{committed}");
    let shown = sale.stack.checkout().get(path).by(&buyer);
    ensure!(shown.send().await?.expect(200)?["id"] == again["id"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_finds_its_order_when_the_box_office_has_forgotten_the_command()
-> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let sale = Sale::open().await?;
    let buyer = sale.stack.customer().await?;
    let key = new_id().to_string();
    let order = id_of(&sale.place(&buyer, 1, &key).await?.expect(201)?)?;

    stack_command("stop", CHECKOUT).await?;
    let owners = sale.owners().await;
    let forgotten = sale.forget(order).await;
    // So short that the door relies on nothing that the box office might remember.
    let short = [("SVC_CHECKOUT__CHECKOUT_REMEMBER_SECONDS", "60")];
    stack_command_with("start", CHECKOUT, &short).await?;
    let repeated = async {
        let again = sale.place(&buyer, 1, &key).await?;
        let other = sale.place(&buyer, 2, &key).await?;
        let reserved = sale.times_reserved(order).await?;
        anyhow::Ok((again, other, reserved))
    };
    let repeated = repeated.await;
    // Before anything is judged: the tests after this one need it.
    stack_command("start", CHECKOUT).await?;
    forgotten?;
    let owners = owners?;
    ensure!(
        owners.iter().all(String::is_empty),
        "a planned stop leaves owners, whose successor waits: {owners:?}"
    );
    let (again, other, reserved) = repeated?;
    ensure!(id_of(&again.expect(201)?)? == order, "another order");
    other.expect_problem(422, "idempotency-key-reused")?;
    ensure!(reserved == 1, "decided {reserved} times");
    Ok(())
}
