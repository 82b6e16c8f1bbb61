//! How soon all who watch an event see a seat go while many of its seats are sold.
//!
//! The seats of an event go in the order of `checkout.orders`, one with each order here. So a stream shows an order from the
//! moment on in which it shows as many seats as gone as that order and all before it have taken.

use std::time::Duration;

use anyhow::ensure;
use bench::cpu::{Processes, Sample};
use bench::figures::Plan;
use bench::users::Buyers;
use e2e::{PublishedEvent, Role, Stack, TicketType};
use hdrhistogram::Histogram;
use platform::clock::Timestamp;
use schemas::checkout::OrderReserved;
use schemas::topics::CHECKOUT_ORDERS;
use tokio::time::sleep;
use uuid::Uuid;

use crate::buyers::{self, Answers, Pace};
use crate::streams::{SEATS, Shown, Watchers};

/// All streams shall show an order this soon after its answer.
const TARGET: Duration = Duration::from_millis(500);
const BUYERS: usize = 64;
/// Of the second measurement.
const ORDERS_PER_S: u32 = 500;
/// Other events that are sold meanwhile.
const OTHERS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(5);
const HEAT_UP: Duration = Plan::HEAT_UP.warm_up;
/// Longest delay told apart, in µs.
const LONGEST_US: u64 = 60_000_000;

/// Measures and prints a table: once while everybody buys again at once, and once at a steady rate.
pub(crate) async fn measure(
    stack: &Stack,
    watchers: &Watchers,
    measured: Duration,
) -> anyhow::Result<()> {
    let mut buyers = Buyers::register(stack, BUYERS).await?;
    let organizer = stack.user(&[Role::Organizer]).await?;
    let mut events = vec![watchers.event.clone()];
    for _ in 0..OTHERS {
        let types = [TicketType::general(SEATS)];
        events.push(stack.published_event(&organizer, &types).await?);
    }
    let tokens = buyers.tokens(BUYERS, HEAT_UP).await?.to_vec();
    let url = stack.checkout().base();
    buyers::buy(url, tokens, &events[1..], Pace::WhenAnswered, HEAT_UP).await?;
    println!(
        "| while {BUYERS} buyers order, half of them that event | orders/s | messages/s | from the answer until a stream shows the order: p50 ms | p99 | all streams, all orders | from the decision: p50 | p99 | all |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    let rate = format!("{ORDERS_PER_S} a second");
    let mut verdicts = Vec::new();
    for (what, pace) in [
        ("each again at once", Pace::WhenAnswered),
        (rate.as_str(), Pace::PerSecond(ORDERS_PER_S)),
    ] {
        let lasts = WARM_UP + measured;
        let tokens = buyers.tokens(BUYERS, lasts).await?.to_vec();
        let figures = sell(stack, watchers, &events, tokens, pace, measured).await?;
        println!("{}", figures.row(what));
        verdicts.push(figures.verdict(what));
    }
    println!("\n{}", verdicts.join("\n"));
    Ok(())
}

async fn sell(
    stack: &Stack,
    watchers: &Watchers,
    events: &[PublishedEvent],
    tokens: Vec<String>,
    pace: Pace,
    measured: Duration,
) -> anyhow::Result<Figures> {
    let processes = Processes::of_stack()?;
    let url = stack.checkout().base();
    let buying = buyers::buy(url, tokens, events, pace, WARM_UP + measured);
    let window = async {
        sleep(WARM_UP).await;
        let (from, before) = (Timestamp::now().as_micros(), processes.sample()?);
        sleep(measured).await;
        let (to, after) = (Timestamp::now().as_micros(), processes.sample()?);
        anyhow::Ok((from, to, before, after))
    };
    let (answers, window) = tokio::join!(buying, window);
    let (answers, (from, to, before, after)) = (answers?, window?);
    let sold = orders(stack, watchers.event.id, &answers).await?;
    let shown = watchers.shown(i64::try_from(sold.len())?).await?;

    let mut figures = Figures {
        measured,
        orders: 0,
        messages: 0,
        after_answer: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
        after_decision: Histogram::new_with_bounds(1, LONGEST_US, 3)?,
        before,
        after,
    };
    let is_in = |at: &i64| (from..to).contains(at);
    figures.orders = answers.values().filter(|at| is_in(at)).count();
    for stream in &shown {
        figures.messages += stream.iter().filter(|shown| is_in(&shown.at)).count();
        for (order, shown_at) in sold.iter().zip(shown_from(stream, sold.len())) {
            let Some(answered) = order.answered.filter(|_| is_in(&order.decided)) else {
                continue;
            };
            // Who watches may see it before the buyer has his answer.
            let since = |at: i64| u64::try_from(shown_at - at).unwrap_or_default();
            figures.after_answer.saturating_record(since(answered));
            figures
                .after_decision
                .saturating_record(since(order.decided));
        }
    }
    ensure!(figures.orders > 0, "nothing was sold");
    Ok(figures)
}

/// An order of one seat; times in µs of the wall clock.
struct Sold {
    /// When the box office took it up.
    decided: i64,
    /// `None`: in another measurement.
    answered: Option<i64>,
}

/// All orders of the event, in the order in which its seats went.
async fn orders(stack: &Stack, event: Uuid, answers: &Answers) -> anyhow::Result<Vec<Sold>> {
    let mut sold = Vec::new();
    for record in stack.all_records(CHECKOUT_ORDERS.name).await? {
        if !record.is::<OrderReserved>() {
            continue;
        }
        let order: OrderReserved = record.read()?;
        if order.event_id == event {
            sold.push(Sold {
                decided: order.reserved_at,
                answered: answers.get(&order.order_id).copied(),
            });
        }
    }
    let known = sold.iter().filter(|sold| sold.answered.is_some()).count();
    ensure!(
        known > 0,
        "no answered order is on {}",
        CHECKOUT_ORDERS.name
    );
    Ok(sold)
}

/// For each number of seats from 1 to `most`: when the stream began to show that so many are gone; as far as it did.
fn shown_from(stream: &[Shown], most: usize) -> impl Iterator<Item = i64> {
    let mut messages = stream.iter().peekable();
    (1..).take(most).map_while(move |gone: i64| {
        while messages.next_if(|shown| shown.gone < gone).is_some() {}
        messages.peek().map(|shown| shown.at)
    })
}

struct Figures {
    measured: Duration,
    orders: usize,
    messages: usize,
    after_answer: Histogram<u64>,
    after_decision: Histogram<u64>,
    before: Sample,
    after: Sample,
}

impl Figures {
    /// A line of the table.
    fn row(&self, what: &str) -> String {
        let per_s = |count: usize| count as f64 / self.measured.as_secs_f64();
        let of = |delays: &Histogram<u64>| {
            let at = |quantile| delays.value_at_quantile(quantile);
            let [p50, p99, worst] = [at(0.5), at(0.99), delays.max()].map(|us| us as f64 / 1e3);
            format!("{p50:.0} | {p99:.0} | {worst:.0}")
        };
        format!(
            "| {what} | {:.0} | {:.0} | {} | {} |",
            per_s(self.orders),
            per_s(self.messages),
            of(&self.after_answer),
            of(&self.after_decision),
        )
    }

    /// Whether the target was kept, and what the machine was busy with.
    fn verdict(&self, what: &str) -> String {
        let worst = Duration::from_micros(self.after_answer.max());
        let kept = if worst <= TARGET { "kept" } else { "MISSED" };
        format!(
            "{what}: all streams show all orders {} ms after the answer at most, target {} ms: {kept}; % of a core: {}",
            worst.as_millis(),
            TARGET.as_millis(),
            self.cpu()
        )
    }

    /// `svc-catalog 12, client 30`, who took most first.
    fn cpu(&self) -> String {
        let mut used: Vec<(f64, &str)> = Vec::new();
        for (name, after) in &self.after {
            let used_here =
                after.saturating_sub(self.before.get(name).copied().unwrap_or_default());
            used.push((
                100.0 * used_here.as_secs_f64() / self.measured.as_secs_f64(),
                name,
            ));
        }
        used.sort_by(|a, b| b.0.total_cmp(&a.0));
        let used = used.iter().take_while(|(used, _)| *used >= 1.0);
        let used: Vec<_> = used
            .map(|(used, name)| format!("{name} {used:.0}"))
            .collect();
        used.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_shown_from_the_first_message_on_that_has_it() {
        let stream = [(0, 10), (2, 20), (2, 30), (5, 40)];
        let stream = stream.map(|(gone, at)| Shown { gone, at });
        let shown: Vec<_> = shown_from(&stream, 9).collect();
        assert_eq!(
            shown,
            [20, 20, 40, 40, 40],
            "four more are not shown at all"
        );
    }
}
