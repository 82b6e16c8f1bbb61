//! How soon a second instance answers with what was changed at the first one.

use std::time::Duration;

use anyhow::ensure;
use e2e::control::stack_command;
use e2e::events::concert;
use e2e::{Role, Stack, TicketType};
use platform::ids::new_id;
use tokio::time::Instant;

const SECOND: &str = "svc-catalog-2";
const CHANGES: usize = 100;
/// An instance shall be right within this time, for who has not signed in.
const TARGET: Duration = Duration::from_secs(1);
/// A change that is not seen within this time fails the bench.
const DEADLINE: Duration = Duration::from_secs(30);

/// Starts it, changes an event again and again, and prints how long after the answer the second one has each change.
pub(crate) async fn measure(stack: &Stack) -> anyhow::Result<()> {
    stack_command("start", SECOND).await?;
    let measured = delays(stack).await;
    stack_command("stop", SECOND).await?;
    let mut delays = measured?;
    delays.sort();
    let (median, worst) = (delays[CHANGES / 2], delays[CHANGES - 1]);
    let kept = if worst <= TARGET { "kept" } else { "MISSED" };
    println!(
        "a second instance gives everyone what was changed at the first {:.0} ms after the answer, {:.0} ms in the worst of {CHANGES}; \
         target {} ms: {kept}\n",
        median.as_secs_f64() * 1e3,
        worst.as_secs_f64() * 1e3,
        TARGET.as_millis()
    );
    Ok(())
}

async fn delays(stack: &Stack) -> anyhow::Result<Vec<Duration>> {
    let organizer = stack.user(&[Role::Organizer]).await?;
    let types = [TicketType::general(20)];
    let event = stack.published_event(&organizer, &types).await?;
    let path = format!("/v1/events/{}", event.id);
    let mut delays = Vec::with_capacity(CHANGES);
    for _ in 0..CHANGES {
        let word = new_id().simple().to_string();
        let change = stack.catalog().put(&path).by(&organizer).if_match("*");
        let body = concert(&word, 30);
        change.json(&body).send().await?.expect(200)?;
        let answered = Instant::now();
        // The event, and the list in which it is found by its new name.
        let there = stack.second_catalog();
        let list = format!("/v1/events?q={word}");
        loop {
            let event = there.get(&path).send().await?.expect(200)?;
            let list = there.get(&list).send().await?.expect(200)?;
            if event["name"] == word && list["items"][0]["name"] == word {
                break;
            }
            ensure!(answered.elapsed() < DEADLINE, "{word} is not there");
        }
        delays.push(answered.elapsed());
    }
    Ok(delays)
}
