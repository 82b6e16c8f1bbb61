//! How long nobody gets an order of an event when what sells it dies, and when it is stopped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::control::stack_command;
use e2e::flash_sale::faults::{FIRST_PROGRAM, SECOND_PROGRAM};
use e2e::flash_sale::owners::{self, FIRST, SECOND};
use e2e::{Api, PublishedEvent, Stack, eventually, orders};
use platform::ids::new_id;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

/// An order is sent so often, whatever has become of the others: no figure is finer than this.
const EVERY: Duration = Duration::from_millis(20);
/// So many are answered before something happens, and after it.
const STEADY: usize = 50;
/// Above everything that a take-over waits for.
const RECOVERS_WITHIN: Duration = Duration::from_secs(60);
/// An instance that has just been started has its share so soon.
const SHARED_WITHIN: Duration = Duration::from_secs(60);

/// The longest time in which nobody got an order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outages {
    /// kill -9 of the only instance, and its start.
    pub(crate) restart: Duration,
    /// kill -9 of the instance that sells the event, beside another one.
    pub(crate) take_over: Duration,
    /// SIGTERM to the instance that sells the event, beside another one.
    pub(crate) hand_over: Duration,
}

/// One instance of svc-checkout.
struct Instance<'a> {
    name: &'static str,
    program: &'static str,
    door: &'a Api,
}

/// Who orders what while something happens.
pub(crate) struct Probe<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) token: &'a str,
    pub(crate) event: &'a PublishedEvent,
}

impl Probe<'_> {
    /// All of it, beginning and ending with the first instance alone.
    pub(crate) async fn outages(&self) -> anyhow::Result<Outages> {
        let restart = async {
            stack_command("kill", FIRST_PROGRAM).await?;
            let gone = Instant::now();
            stack_command("start", FIRST_PROGRAM).await?;
            Ok(gone)
        };
        let restart = self
            .longest_pause(self.stack.checkout(), restart)
            .await
            .context("a restart")?;
        stack_command("start", SECOND_PROGRAM).await?;
        let take_over = self.without_seller("kill").await.context("a take-over")?;
        let hand_over = self.without_seller("stop").await.context("a hand-over")?;
        stack_command("stop", SECOND_PROGRAM).await?;
        Ok(Outages {
            restart,
            take_over,
            hand_over,
        })
    }

    /// Takes the instance that sells the event away, while orders come in at the other one, and brings it back.
    async fn without_seller(&self, verb: &str) -> anyhow::Result<Duration> {
        self.shared().await?;
        let instances = [
            (FIRST, FIRST_PROGRAM, self.stack.checkout()),
            (SECOND, SECOND_PROGRAM, self.stack.second_checkout()),
        ];
        let instances = instances.map(|(name, program, door)| Instance {
            name,
            program,
            door,
        });
        let seller = owners::seller(self.stack, self.event.id).await?;
        let (seller, other) = match (seller.as_deref(), &instances) {
            (Some(FIRST), [first, second]) => (first, second),
            (_, [first, second]) => (second, first),
        };
        let fault = async {
            let sells = owners::seller(self.stack, self.event.id).await?;
            let is_known = sells.as_deref() == Some(seller.name);
            ensure!(is_known, "{sells:?} sells the event, not {}", seller.name);
            stack_command(verb, seller.program).await?;
            Ok(Instant::now())
        };
        let pause = self.longest_pause(other.door, fault).await?;
        stack_command("start", seller.program).await?;
        Ok(pause)
    }

    /// Both instances have their half of the partitions: nothing moves any more.
    async fn shared(&self) -> anyhow::Result<()> {
        let all = usize::try_from(self.stack.event_partitions)?;
        let what = "the two svc-checkout to share the partitions";
        eventually(SHARED_WITHIN, what, async || {
            let members = owners::members(self.stack).await?;
            let of = |name| members.get(name).map_or(0, |share| share.len());
            let (first, second) = (of(FIRST), of(SECOND));
            Ok((first + second == all && first.abs_diff(second) <= 1).then_some(()))
        })
        .await
    }

    /// While `fault` happens, and until orders are answered again, nobody got an order at `door` for so long. The fault tells
    /// when what it takes away was gone.
    async fn longest_pause(
        &self,
        door: &Api,
        fault: impl Future<Output = anyhow::Result<Instant>>,
    ) -> anyhow::Result<Duration> {
        let answers = Answers::default();
        let mut asking = JoinSet::new();
        let body = orders::order_body(self.event.id, &[(self.event.ticket_types[0], 1)]);
        asking.spawn(ask(
            door.clone(),
            self.token.to_owned(),
            body,
            answers.clone(),
        ));
        answers.are_steady().await?;
        let began = Instant::now();
        let gone = fault.await?;
        answers.are_steady().await?;
        // Whoever asks has done so until here, and ends with this set.
        drop(asking);
        answers.longest_pause(began, gone).context("no answers")
    }
}

/// Sends orders and ends never.
async fn ask(door: Api, token: String, body: Value, answers: Answers) {
    let mut pace = interval(EVERY);
    let mut asked = JoinSet::new();
    loop {
        pace.tick().await;
        let order = door.post("/v1/orders").token(&token);
        let order = order.idempotency_key(&new_id().to_string()).json(&body);
        let answers = answers.clone();
        asked.spawn(async move {
            let sent = Instant::now();
            // No answer and a refusal are the same here: no order.
            if order.send().await.is_ok_and(|answer| answer.status == 201) {
                answers.add(sent);
            }
        });
        while asked.try_join_next().is_some() {}
    }
}

/// When orders were sent, and when they were answered with 201.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<(Instant, Instant)>>>);

impl Answers {
    fn add(&self, sent: Instant) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push((sent, Instant::now()));
    }

    /// Waits until orders that are sent from now on are answered.
    async fn are_steady(&self) -> anyhow::Result<()> {
        let now = Instant::now();
        eventually(RECOVERS_WITHIN, "orders to be answered", async || {
            let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let new = answers.iter().filter(|(sent, _)| *sent > now).count();
            Ok((new >= STEADY).then_some(()))
        })
        .await
    }

    /// Between two answers of which the later one came after `began`. Orders that were on their way when something was
    /// `gone` do not count: it may have decided them, and who waits for its answer finds the row after five seconds, whether anybody
    /// sells the event by then or not.
    fn longest_pause(&self, began: Instant, gone: Instant) -> Option<Duration> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = answers
            .iter()
            .filter(|(sent, answered)| *sent > gone || *answered <= gone);
        let times: Vec<Instant> = counted.map(|(_, answered)| *answered).collect();
        let pairs = times.windows(2).filter(|pair| pair[1] > began);
        pairs.map(|pair| pair[1] - pair[0]).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    /// The longest pause of orders that were sent and answered at these times, in ms.
    fn pause(orders: &[(u64, u64)], began: u64, gone: u64) -> Option<Duration> {
        let start = Instant::now();
        let orders = orders.iter();
        let answers = orders.map(|(sent, answered)| (at(start, *sent), at(start, *answered)));
        let answers = Answers(Arc::new(Mutex::new(answers.collect())));
        answers.longest_pause(at(start, began), at(start, gone))
    }

    #[test]
    fn pauses_of_before_do_not_count() {
        let orders = [
            (0, 1),
            (890, 900),
            (990, 1_000),
            (1_290, 1_300),
            (1_390, 1_400),
        ];
        assert_eq!(pause(&orders, 950, 1_100), Some(Duration::from_millis(300)));
        // The pause in which something happens began before it.
        assert_eq!(pause(&orders, 500, 600), Some(Duration::from_millis(899)));
        assert_eq!(pause(&orders, 1_400, 1_400), None);
    }

    #[test]
    fn a_row_that_was_found_is_no_sale() {
        let orders = [(80, 100), (90, 5_090), (3_000, 7_000), (7_000, 7_010)];
        let pause = pause(&orders, 100, 110);
        assert_eq!(pause, Some(Duration::from_millis(6_900)));
    }
}
