//! More clients than svc-checkout lets wait.

use std::collections::BTreeSet;

use anyhow::ensure;
use e2e::Stack;
use e2e::orders::place;
use e2e::users::id_of;
use futures::stream::{FuturesUnordered, StreamExt as _, TryStreamExt as _};
use schemas::topics;

use crate::load::{Spread, events};
use crate::{TURN, stack_command};

/// More than an instance lets wait (2,048).
const CROWD: usize = 2_500;

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_is_turned_away_while_the_broker_hangs_and_nobody_is_forgotten()
-> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let event = &events(&stack, Spread::OneEvent, 10_000).await?[0];
    let buyer = stack.customer().await?;
    let lines = [(event.ticket_types[0], 1)];
    let order = || place(stack.checkout(), &buyer, event.id, &lines).send();
    order().await?.expect(201)?;

    stack_command("freeze", "kafka").await?;
    let mut crowd: FuturesUnordered<_> = (0..CROWD).map(|_| order()).collect();
    let mut answers = Vec::new();
    let mut is_turned_away = false;
    while let Some(answer) = crowd.next().await {
        let answer = answer?;
        is_turned_away = answer.body["code"] == "overloaded";
        answers.push(answer);
        if is_turned_away {
            break;
        }
    }
    stack_command("thaw", "kafka").await?;
    ensure!(
        is_turned_away,
        "{} waited and nobody was turned away",
        answers.len()
    );
    answers.extend(crowd.try_collect::<Vec<_>>().await?);

    let mut sold = BTreeSet::new();
    for answer in answers {
        if answer.status == 201 {
            sold.insert(id_of(&answer.body)?);
            continue;
        }
        // Turned away; or waited in vain, when the machine is so slow that the broker was frozen for five seconds.
        let is_overload = answer.body["code"] == "overloaded";
        answer.expect_problem(
            503,
            if is_overload {
                "overloaded"
            } else {
                "unavailable"
            },
        )?;
    }
    ensure!(!sold.is_empty(), "of those who waited nobody was served");
    let reserved = stack.all_records(topics::CHECKOUT_ORDERS.name).await?;
    for id in sold {
        let key = id.to_string();
        ensure!(
            reserved.iter().any(|seen| seen.key == key),
            "{id} is not in the ledger"
        );
    }
    Ok(())
}
