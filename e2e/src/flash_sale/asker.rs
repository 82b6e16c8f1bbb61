//! Asks until there is an answer, as our own clients do: the same request under the same key, at the other door when one
//! is closed. Every request goes into the history.

use std::time::Duration;

use platform::ids::new_id;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::accounts::Account;
use super::history::{Entry, History, Kind, Phase};
use super::story::Door;
use super::tally::Tally;
use crate::api::Answer;
use crate::stack::Stack;

/// A shopper repeats a request for so long, the time of faults not counted: how long a server takes to start is the
/// machine's affair, and has an end of its own.
const PATIENCE: Duration = Duration::from_secs(120);
/// Before the first repeat; each later one waits twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// A thousand shoppers who repeat more often than this are a fault of their own.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// What somebody wants, under one key.
pub struct Wish<'a> {
    /// Number of the shopper.
    pub process: u64,
    /// Which call.
    pub kind: Kind,
    /// Who asks.
    pub account: &'a Account,
    /// Which order; not for a new one.
    pub order: Option<Uuid>,
    /// Which of its tickets, where it is about one.
    pub ticket: Option<Uuid>,
    /// The body; null for none.
    pub body: Value,
    /// Where to go in first.
    pub door: Door,
    /// Where the same request goes in at the same time.
    pub twin: Option<Door>,
}

impl Wish<'_> {
    fn path(&self) -> String {
        let of_order = |call: &str| format!("/v1/orders/{}/{call}", self.order.unwrap_or_default());
        match self.kind {
            Kind::Place => "/v1/orders".to_owned(),
            Kind::Pay => of_order("payment"),
            Kind::Cancel => of_order("cancel"),
            Kind::Refund => of_order("refund"),
            Kind::Release => format!("/v1/tickets/{}/attendance", self.ticket.unwrap_or_default()),
        }
    }
}

/// Sends what shoppers want.
pub struct Asker {
    stack: Stack,
    history: History,
    /// What came of it.
    pub tally: Tally,
}

impl Asker {
    /// Writes to this history.
    pub fn new(stack: &Stack, history: History) -> anyhow::Result<Self> {
        Ok(Self {
            stack: stack.clone(),
            history,
            tally: Tally::new()?,
        })
    }

    /// What was asked and answered.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The answer under a key of its own; `None`: nobody knows it.
    pub async fn ask(&self, wish: &Wish<'_>) -> Option<Answer> {
        let key = new_id().to_string();
        let Some(twins_door) = wish.twin else {
            return self.until_answered(wish, &key, wish.door).await;
        };
        self.tally.with(|counts| counts.twins += 1);
        let (answer, twins) = tokio::join!(
            self.until_answered(wish, &key, wish.door),
            self.until_answered(wish, &key, twins_door),
        );
        let (Some(answer), Some(twins)) = (&answer, &twins) else {
            return answer.or(twins);
        };
        let id = |answer: &Answer| answer.body["id"].as_str().map(str::to_owned);
        if is_ok(answer) && is_ok(twins) && id(answer) != id(twins) {
            let both = format!("{key}: {answer}; {twins}");
            self.tally.with(|counts| counts.duplicates.push(both));
        }
        // A refusal has no effect and is not remembered: the other one may have had more luck a moment later.
        Some(if is_ok(answer) { answer } else { twins }.clone())
    }

    async fn until_answered(&self, wish: &Wish<'_>, key: &str, mut door: Door) -> Option<Answer> {
        let mut patience = PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            match self.once(wish, key, door).await {
                Ok(answer) if is_final(&answer) => return Some(answer),
                // The truth comes later, and to whoever asks here.
                Ok(answer) if answer.body["code"] == "payment-pending" => {}
                _ => door = door.other(),
            }
            if patience.is_zero() {
                self.tally
                    .with(|counts| *counts.unanswered.entry(wish.kind).or_default() += 1);
                return None;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let in_fault = self.tally.with(|counts| {
                counts.repeats += 1;
                counts.in_fault
            });
            if !in_fault {
                patience = patience.saturating_sub(began.elapsed());
            }
        }
    }

    /// One request. An error means that nobody knows whether it had an effect, or that it was not sent.
    async fn once(&self, wish: &Wish<'_>, key: &str, door: Door) -> anyhow::Result<Answer> {
        let token = wish.account.token().await?;
        let api = match door {
            Door::Gateway => self.stack.gateway(),
            Door::Second => self.stack.second_checkout(),
        };
        let mut call = api.post(wish.path()).token(&token).idempotency_key(key);
        if !wish.body.is_null() {
            call = call.json(&wish.body);
        }
        let mut entry = Entry {
            process: wish.process,
            op_id: 0,
            kind: wish.kind,
            phase: Phase::Invoke,
            t_mono_ns: 0,
            key: Some(key.to_owned()),
            user_id: wish.account.id,
            order_id: wish.order,
            request: wish.body.clone(),
            status: None,
            body: Value::Null,
        };
        self.history.invoke(&mut entry);
        let (sent, was_in_fault) = (Instant::now(), self.tally.with(|counts| counts.in_fault));
        let answer = call.send().await;
        let took = sent.elapsed();
        entry.phase = Phase::Info;
        if let Ok(answer) = &answer {
            entry.phase = Phase::of(answer.status, &answer.body);
            entry.status = Some(answer.status);
            entry.body = answer.body.clone();
        }
        self.history.complete(&mut entry);
        let answer = answer?;
        if wish.kind == Kind::Place && is_final(&answer) {
            let in_fault = was_in_fault || self.tally.with(|counts| counts.in_fault);
            if is_ok(&answer) {
                self.tally.placed(took, in_fault);
            } else {
                self.tally.refused(took, in_fault);
            }
        }
        if answer.status == 401 {
            wish.account.refused(&token).await;
        }
        Ok(answer)
    }
}

/// It had its effect.
pub fn is_ok(answer: &Answer) -> bool {
    Phase::of(answer.status, &answer.body) == Phase::Ok
}

/// Whether there is nothing more to learn: not after "sign in again" and "come again later".
fn is_final(answer: &Answer) -> bool {
    match Phase::of(answer.status, &answer.body) {
        Phase::Ok => true,
        Phase::Fail => !matches!(answer.status, 401 | 429),
        Phase::Invoke | Phase::Info => false,
    }
}
