//! Two svc-checkout share the partitions. Any of them takes any request; what one decides the other one answers.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use e2e::api::Api;
use e2e::orders::{CARD_DECLINED, CARD_PAID, order_body, pay, place};
use e2e::users::id_of;
use e2e::{PublishedEvent, Role, Stack, User, eventually};
use futures::future::try_join_all;
use platform::ids::new_id;
use reqwest::Method;

use crate::load::{Load, ORDERS_AROUND, Spread, events};
use crate::{TURN, stack_command};

pub(crate) const SECOND: &str = "svc-checkout-2";
/// The broker misses a member after 6 s; then its partitions are taken over.
const TAKE_OVER_DEADLINE: Duration = Duration::from_secs(30);

/// Starts the second instance, and stops it whatever comes out.
pub(crate) async fn with_second<T>(
    test: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let _turn = TURN.lock().await;
    stack_command("start", SECOND).await?;
    let tested = test.await;
    // It does not run after a test that killed it.
    let stopped = stack_command("stop", SECOND).await;
    let tested = tested?;
    stopped?;
    Ok(tested)
}

/// Buys and refuses everything that an event can answer, in at one door and out at the other.
async fn buy_out(stack: &Stack, event: &PublishedEvent, doors: [&Api; 2]) -> anyhow::Result<()> {
    let [door, other] = doors;
    let buyer = stack.customer().await?;
    let support = stack.user(&[Role::Support]).await?;
    let lines = [(event.ticket_types[0], 1)];

    // One wish, twenty times at once, at both doors: one order.
    let body = order_body(event.id, &lines);
    let key = new_id().to_string();
    let wishes = (0..20).map(|n| {
        let door = if n % 2 == 0 { door } else { other };
        let call = door.post("/v1/orders").by(&buyer).idempotency_key(&key);
        call.json(&body).send()
    });
    let mut ids = BTreeSet::new();
    for answer in try_join_all(wishes).await? {
        ids.insert(id_of(&answer.expect(201)?)?);
    }
    let [first] = Vec::from_iter(ids)[..] else {
        anyhow::bail!("one key made several orders");
    };

    let second = place(other, &buyer, event.id, &lines).send().await?;
    let second = id_of(&second.expect(201)?)?;
    place(door, &buyer, event.id, &lines)
        .send()
        .await?
        .expect_problem(409, "sold-out")?;
    pay(door, &buyer, first, CARD_DECLINED)
        .send()
        .await?
        .expect_problem(402, "payment-declined")?;
    let paid = pay(other, &buyer, first, CARD_PAID)
        .send()
        .await?
        .expect(200)?;
    assert_eq!(paid["status"], "paid");
    pay(door, &buyer, first, CARD_PAID)
        .send()
        .await?
        .expect_problem(409, "already-paid")?;
    let cancel = |door: &Api, id| door.post(format!("/v1/orders/{id}/cancel")).by(&buyer);
    cancel(door, first)
        .send()
        .await?
        .expect_problem(409, "use-refund")?;
    assert_eq!(
        cancel(door, second).send().await?.expect(200)?["status"],
        "cancelled"
    );
    let refund = |door: &Api| door.post(format!("/v1/orders/{first}/refund")).by(&support);
    // One wish, twenty times at once, at both doors: whoever is answered sees what came of it.
    let key = new_id().to_string();
    let wishes = (0..20).map(|n| {
        let door = if n % 2 == 0 { door } else { other };
        refund(door).idempotency_key(&key).send()
    });
    for answer in try_join_all(wishes).await? {
        assert_eq!(answer.expect(200)?["status"], "refunded");
    }
    refund(door)
        .send()
        .await?
        .expect_problem(409, "already-refunded")?;
    place(other, &buyer, event.id, &[(event.ticket_types[0], 2)])
        .send()
        .await?
        .expect(201)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_instance_takes_any_request_and_answers_with_its_result() -> anyhow::Result<()> {
    with_second(async {
        let stack = Stack::from_env();
        let doors = [stack.checkout(), stack.second_checkout()];
        let swapped = [stack.second_checkout(), stack.checkout()];
        let events = events(&stack, Spread::EveryPartition, 2).await?;
        let bought = events
            .iter()
            .enumerate()
            .map(|(n, event)| buy_out(&stack, event, if n % 2 == 0 { doors } else { swapped }));
        try_join_all(bought).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_instance_takes_over_what_a_killed_one_had() -> anyhow::Result<()> {
    with_second(async {
        let stack = Stack::from_env();
        let load = Load::start(&stack, Spread::EveryPartition).await?;
        load.answered(ORDERS_AROUND).await?;
        stack_command("kill", SECOND).await?;
        load.answered(ORDERS_AROUND).await?;
        load.end_and_judge(&stack).await?;
        stack_command("start", SECOND).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_instance_is_replaced_and_does_no_harm_when_it_goes_on() -> anyhow::Result<()> {
    with_second(async {
        let stack = Stack::from_env();
        let load = Load::start(&stack, Spread::EveryPartition).await?;
        load.answered(ORDERS_AROUND).await?;
        stack_command("freeze", SECOND).await?;
        // The buyers go through all events: these answers come from whoever took its partitions over.
        load.answered(ORDERS_AROUND).await?;
        stack_command("thaw", SECOND).await?;
        load.answered(ORDERS_AROUND).await?;
        load.end_and_judge(&stack).await?;
        let buyer = stack.customer().await?;
        let event = &events(&stack, Spread::OneEvent, 1).await?[0];
        eventually(
            TAKE_OVER_DEADLINE,
            "the thawed instance to answer",
            async || {
                let lines = [(event.ticket_types[0], 1)];
                let order = place(stack.second_checkout(), &buyer, event.id, &lines);
                Ok((order.send().await?.status == 201).then_some(()))
            },
        )
        .await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_instance_refuses_the_tokens_of_who_was_erased() -> anyhow::Result<()> {
    /// A look at both would take this long on a busy machine; of it the reader's part is a fraction of a second.
    const HEARD_OF: Duration = Duration::from_secs(10);
    with_second(async {
        let stack = Stack::from_env();
        let (user, other) = (stack.customer().await?, stack.customer().await?);
        let (stack, user, other) = (&stack, &user, &other);
        let doors = [
            (stack.checkout(), Method::GET, "/v1/orders"),
            (stack.second_checkout(), Method::GET, "/v1/orders"),
            // A customer may not, and who is nobody hears of that nothing.
            (stack.catalog(), Method::POST, "/v1/events"),
            (stack.mailer(), Method::GET, "/v1/notifications"),
        ];
        let statuses = async |user: &User| -> anyhow::Result<Vec<u16>> {
            let calls = doors.iter().map(|(door, method, path)| async move {
                let call = door.call(method.clone(), path).by(user);
                anyhow::Ok(call.send().await?.status)
            });
            try_join_all(calls).await
        };
        assert_eq!(statuses(user).await?, [200, 200, 403, 200]);
        let erase = stack.identity().delete("/v1/users/me").by(user);
        assert_eq!(erase.send().await?.status, 204);
        let began = Instant::now();
        let refused = async || {
            let all = statuses(user).await?;
            Ok(all.iter().all(|status| *status == 401).then_some(()))
        };
        eventually(HEARD_OF, "401 everywhere", refused).await?;
        eprintln!("refused everywhere after {:?}", began.elapsed());
        // One that starts afterwards hears of it as well.
        stack_command("stop", SECOND).await?;
        stack_command("start", SECOND).await?;
        eventually(HEARD_OF, "401 everywhere again", refused).await?;
        assert_eq!(statuses(other).await?, [200, 200, 403, 200]);
        Ok(())
    })
    .await
}
