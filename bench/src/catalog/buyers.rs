//! Those who buy while others watch.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bench::load::{Client, Purchase, Refused, order_of_each};
use e2e::PublishedEvent;
use platform::clock::Timestamp;
use tokio::runtime;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, interval_at};
use uuid::Uuid;

/// How often they buy.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// Each again when the last order is answered.
    WhenAnswered,
    /// So many orders a second, of all together.
    PerSecond(u32),
}

/// When each order was answered, in µs of the wall clock.
pub(crate) type Answers = HashMap<Uuid, i64>;

/// One buyer per token, who buy single tickets at `url`, every second one of the first of the `events`, for so long. None may
/// be refused.
///
/// On a thread of their own: those who watch must not keep a buyer from seeing his answer, or it would look as if it had come later.
pub(crate) async fn buy(
    url: &str,
    tokens: Vec<String>,
    events: &[PublishedEvent],
    pace: Pace,
    lasts: Duration,
) -> anyhow::Result<Answers> {
    let (first, others) = events.split_first().context("an event")?;
    let orders = std::iter::repeat_n(first, others.len()).zip(others);
    let orders = orders.flat_map(|(first, other)| [first, other]);
    let orders: Vec<_> = orders.map(order_of_each).collect();
    let url = url.to_owned();
    spawn_blocking(move || {
        let thread = runtime::Builder::new_current_thread();
        let thread = { thread }.enable_all().build()?;
        thread.block_on(async {
            let began = Instant::now();
            let mut buying = JoinSet::new();
            let count = u32::try_from(tokens.len())?;
            for ((number, token), order) in (0..).zip(&tokens).zip(orders.iter().cycle()) {
                let client = Client::new(&url, token, order.clone(), Purchase::Held).await?;
                let pause = match pace {
                    Pace::WhenAnswered => None,
                    Pace::PerSecond(orders) => Some(Duration::from_secs(1) * count / orders),
                };
                // One after the other and not all in one moment.
                let from = pause.map(|pause| (began + pause * number / count, pause));
                buying.spawn(buy_on(client, from, began + lasts));
            }
            let mut answers = Answers::new();
            while let Some(bought) = buying.join_next().await {
                answers.extend(bought??);
            }
            anyhow::Ok(answers)
        })
    })
    .await?
}

async fn buy_on(
    mut client: Client,
    paced: Option<(Instant, Duration)>,
    end: Instant,
) -> anyhow::Result<Answers> {
    let mut pace = paced.map(|(from, pause)| interval_at(from, pause));
    let mut answers = Answers::new();
    while Instant::now() < end {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let order = client.order().await?;
        let answered = Timestamp::now().as_micros();
        let id = order.map_err(|Refused(reason)| anyhow!("an order failed: {reason}"))?;
        answers.insert(id, answered);
    }
    Ok(answers)
}
