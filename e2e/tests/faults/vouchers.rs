//! A voucher has as many uses as it says, however many want one at once, at whichever instance, and whoever counts them.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::api::Api;
use e2e::users::id_of;
use e2e::vouchers::{half, make, place_with};
use e2e::{Answer, PublishedEvent, Role, Stack, User, eventually};
use futures::future::try_join_all;
use uuid::Uuid;

use crate::load::{Spread, events};
use crate::stack_command;
use crate::two_instances::{SECOND, with_second};

const CODE: &str = "RUSH";
const USES: u32 = 10;
const BUYERS: usize = 50;
/// The broker misses a member after 6 s; then its partitions are taken over.
const TAKE_OVER_DEADLINE: Duration = Duration::from_secs(60);

async fn wish(api: &Api, buyer: &User, event: &PublishedEvent) -> anyhow::Result<Answer> {
    let lines = [(event.ticket_types[0], 1)];
    place_with(api, buyer, event.id, &lines, CODE).send().await
}

/// All at once, at both doors: the orders that got the voucher.
async fn rush(stack: &Stack, buyers: &[User], event: &PublishedEvent) -> anyhow::Result<Vec<Uuid>> {
    let doors = [stack.checkout(), stack.second_checkout()];
    let wishes = (0..BUYERS).map(|n| wish(doors[n % 2], &buyers[n % buyers.len()], event));
    let mut placed = Vec::new();
    for answer in try_join_all(wishes).await? {
        if answer.status == 201 {
            placed.push(id_of(&answer.expect(201)?)?);
        } else {
            answer.expect_problem(409, "voucher-used-up")?;
        }
    }
    Ok(placed)
}

/// Once it is answered again.
async fn after_take_over(
    stack: &Stack,
    buyer: &User,
    event: &PublishedEvent,
) -> anyhow::Result<Answer> {
    eventually(TAKE_OVER_DEADLINE, "an answer", async || {
        let answer = wish(stack.checkout(), buyer, event).await?;
        Ok((answer.status != 503).then_some(answer))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_buyers_get_ten_uses_and_a_take_over_forgets_none() -> anyhow::Result<()> {
    with_second(async {
        let stack = Stack::from_env();
        let admin = stack.user(&[Role::Admin]).await?;
        let buyers = try_join_all((0..5).map(|_| stack.customer())).await?;
        let events = events(&stack, Spread::EveryPartition, 100).await?;
        let mut orders = Vec::new();
        for event in &events {
            let made = make(stack.catalog(), &admin, event.id, &half(CODE, USES));
            made.send().await?.expect(201)?;
            let placed = rush(&stack, &buyers, event).await?;
            ensure!(placed.len() == USES as usize, "{} got it", placed.len());
            orders.push(placed);
        }
        // Some of the partitions were the second one's.
        stack_command("kill", SECOND).await?;
        for (event, placed) in events.iter().zip(&orders) {
            let answer = after_take_over(&stack, &buyers[0], event).await?;
            answer.expect_problem(409, "voucher-used-up")?;
            let mut cancelled = 0;
            for buyer in &buyers {
                let path = format!("/v1/orders/{}/cancel", placed[0]);
                let cancel = stack.checkout().post(path).by(buyer).send().await?;
                cancelled += usize::from(cancel.status == 200);
            }
            ensure!(cancelled == 1, "one of them is its buyer");
            let again = wish(stack.checkout(), &buyers[1], event).await?;
            id_of(&again.expect(201)?).context("the use that came back")?;
            let none = wish(stack.checkout(), &buyers[2], event).await?;
            none.expect_problem(409, "voucher-used-up")?;
        }
        stack_command("start", SECOND).await
    })
    .await
}
