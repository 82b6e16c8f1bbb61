//! The log stands still: what nobody knows, nobody is told.

use anyhow::ensure;
use e2e::orders::place;
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Role, Stack, TicketType, eventually};
use futures::future::try_join_all;
use platform::ids::new_id;
use schemas::checkout::OrderReserved;
use schemas::topics::CHECKOUT_ORDERS;

use crate::{TURN, stack_command};

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_while_the_log_stands_still_asks_again_and_has_one_order() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let types = [TicketType::general(20)];
    let event = stack.published_event(&organizer, &types).await?;
    let buyer = stack.customer().await?;
    let lines = [(event.ticket_types[0], 1)];
    let key = new_id().to_string();
    let call = place(stack.checkout(), &buyer, event.id, &lines).idempotency_key(&key);

    stack_command("freeze", "kafka").await?;
    let asked = try_join_all((0..5).map(|_| call.clone().send())).await;
    stack_command("thaw", "kafka").await?;

    // The command of one of them is on its way, and may come through yet. The others have waited for its answer.
    let mut first = 0;
    for answer in asked? {
        if answer.status == 503 {
            first += 1;
            let problem = answer.expect_problem(503, "unavailable")?;
            let detail = problem["detail"].as_str().unwrap_or_default();
            ensure!(detail.contains("same Idempotency-Key"), "{problem}");
        } else {
            answer.expect_problem(409, "request-in-progress")?;
        }
    }
    ensure!(first == 1, "{first} were the first");

    let order = eventually(SOON * 2, "the order", async || {
        let answer = call.clone().send().await?;
        Ok((answer.status == 201).then_some(answer))
    })
    .await?;
    let order = id_of(&order.expect(201)?)?;
    let again = call.send().await?.expect(201)?;
    ensure!(id_of(&again)? == order, "{again}");
    let records = stack.all_records(CHECKOUT_ORDERS.name).await?;
    let of_event = records.iter().filter_map(|record| {
        let reserved = record.is::<OrderReserved>().then(|| record.read());
        reserved?
            .ok()
            .filter(|it: &OrderReserved| it.event_id == event.id)
    });
    ensure!(of_event.count() == 1, "one wish, and other than one order");
    Ok(())
}
