//! Shoppers, each one from his first wish to his end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use platform::clock::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use super::Settings;
use super::accounts::{Account, Accounts};
use super::asker::{Asker, Wish, is_ok};
use super::chance::Chance;
use super::history::Kind;
use super::story::{Ending, Story};
use super::tally::Accepted;
use crate::api::Answer;
use crate::events::PublishedEvent;
use crate::orders::{CARD_DECLINED, CARD_PAID, CARD_TIMES_OUT, order_body};
use crate::users::id_of;

/// The code of the sale's voucher.
pub const VOUCHER: &str = "FLASH";

/// Who found it sold out looks again after some time in between: holds of others end.
const LOOKS_AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(6)];

/// The sale.
pub struct Sale {
    /// How much of everything.
    pub settings: Settings,
    /// What is sold: a general and a vip ticket type.
    pub event: PublishedEvent,
    /// Who takes part.
    pub accounts: Accounts,
    /// How they ask.
    pub asker: Asker,
}

impl Sale {
    /// Lets all shoppers in, as many at a time as there are clients. `done` is told how many are through,
    /// and is closed when all are.
    pub async fn run(self: Arc<Self>, done: watch::Sender<u64>) -> anyhow::Result<()> {
        let next = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..self.settings.clients {
            let (sale, next, done) = (Arc::clone(&self), Arc::clone(&next), done.clone());
            clients.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= sale.settings.buyers {
                        return;
                    }
                    sale.shop(number).await;
                    let through = sale.asker.tally.with(|counts| {
                        counts.done += 1;
                        counts.done
                    });
                    done.send_replace(through);
                }
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended?;
        }
        Ok(())
    }

    async fn shop(&self, number: u64) {
        let mut chance = Chance::of(self.settings.seed, number);
        let shopper = Shopper {
            sale: self,
            number,
            story: Story::any(&mut chance),
            account: self.account_of(number),
        };
        let Some(order) = shopper.order(&mut chance).await else {
            return;
        };
        sleep(shopper.story.hesitation).await;
        match shopper.story.ending {
            Ending::LetExpire => {}
            Ending::Cancel => shopper.cancel(order).await,
            Ending::Pay => {
                shopper.pay(order, CARD_PAID).await;
            }
            Ending::PayAndMissTheAnswer => {
                shopper.pay(order, CARD_TIMES_OUT).await;
            }
            Ending::PayAtSecondTry => {
                if shopper.pay(order, CARD_DECLINED).await == Paid::Declined {
                    shopper.pay(order, CARD_PAID).await;
                }
            }
            Ending::PayAndBeRefunded => {
                if let Paid::Taken { .. } = shopper.pay(order, CARD_PAID).await {
                    shopper.be_refunded(order).await;
                }
            }
            Ending::PayAndGiveBack => {
                if let Paid::Taken { ticket } = shopper.pay(order, CARD_PAID).await {
                    shopper.give_back(order, ticket).await;
                }
            }
            Ending::GiveBackWhileRefunded => {
                if let Paid::Taken { ticket } = shopper.pay(order, CARD_PAID).await {
                    tokio::join!(shopper.give_back(order, ticket), shopper.be_refunded(order));
                }
            }
        }
    }

    fn account_of(&self, number: u64) -> usize {
        let accounts = self.accounts.buyers.len().max(1);
        usize::try_from(number).unwrap_or_default() % accounts
    }
}

/// What a payment came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paid {
    Taken {
        /// The first one.
        ticket: Uuid,
    },
    Declined,
    /// Neither, or nobody knows.
    Not,
}

struct Shopper<'a> {
    sale: &'a Sale,
    number: u64,
    story: Story,
    account: usize,
}

impl Shopper<'_> {
    fn wish(&self, kind: Kind, order: Option<Uuid>, body: Value) -> Wish<'_> {
        Wish {
            process: self.number,
            kind,
            account: self.own_account(),
            order,
            ticket: None,
            body,
            door: self.story.door,
            twin: self.story.twin,
        }
    }

    fn own_account(&self) -> &Account {
        &self.sale.accounts.buyers[self.account]
    }

    /// The order, if he gets one.
    async fn order(&self, chance: &mut Chance) -> Option<Uuid> {
        let tally = &self.sale.asker.tally;
        let lines = [(
            self.sale.event.ticket_types[self.story.ticket_type],
            self.story.tickets,
        )];
        for visit in 0..=self.sale.settings.comes_again {
            if visit > 0 {
                let [shortest, longest] = LOOKS_AGAIN_AFTER;
                sleep(chance.between(shortest, longest)).await;
            }
            let answer = self.ask_for(&lines).await?;
            if is_ok(&answer)
                && let Ok(id) = id_of(&answer.body)
            {
                let account = self.account;
                tally.with(|counts| {
                    counts.accepted.push(Accepted { id, account });
                    if self.story.ending == Ending::LetExpire {
                        counts.left_alone.extend(end_of_hold(&answer.body));
                    }
                });
                return Some(id);
            }
            if answer.body["code"] != "sold-out" {
                tally.unexpected(Kind::Place, answer.status, &answer.body);
                return None;
            }
            tally.with(|counts| counts.sold_out += 1);
        }
        tally.with(|counts| counts.went_without += 1);
        None
    }

    /// With the voucher, if he has heard of it; without, if it is used up.
    async fn ask_for(&self, lines: &[(Uuid, u32)]) -> Option<Answer> {
        let mut body = order_body(self.sale.event.id, lines);
        if self.story.voucher {
            body["voucher"] = json!(VOUCHER);
            let wish = self.wish(Kind::Place, None, body.clone());
            let answer = self.sale.asker.ask(&wish).await?;
            if answer.body["code"] != "voucher-used-up" {
                return Some(answer);
            }
            let tally = &self.sale.asker.tally;
            tally.with(|counts| counts.voucher_used_up += 1);
            body["voucher"] = Value::Null;
        }
        let wish = self.wish(Kind::Place, None, body);
        self.sale.asker.ask(&wish).await
    }

    async fn pay(&self, order: Uuid, card: &str) -> Paid {
        let tally = &self.sale.asker.tally;
        let body = json!({"method": {"type": "simulated", "card": card}});
        let wish = self.wish(Kind::Pay, Some(order), body);
        let Some(answer) = self.sale.asker.ask(&wish).await else {
            return Paid::Not;
        };
        if is_ok(&answer)
            && let Ok(ticket) = id_of(&answer.body["tickets"][0])
        {
            tally.with(|counts| counts.payments_taken += 1);
            return Paid::Taken { ticket };
        }
        match answer.body["code"].as_str() {
            Some("payment-declined") => {
                tally.with(|counts| counts.payments_declined += 1);
                return Paid::Declined;
            }
            Some("hold-expired") => tally.with(|counts| counts.too_late += 1),
            _ => tally.unexpected(Kind::Pay, answer.status, &answer.body),
        }
        Paid::Not
    }

    async fn cancel(&self, order: Uuid) {
        let tally = &self.sale.asker.tally;
        let wish = self.wish(Kind::Cancel, Some(order), Value::Null);
        match self.sale.asker.ask(&wish).await {
            None => {}
            Some(answer) if is_ok(&answer) => tally.with(|counts| counts.cancelled += 1),
            Some(answer) if answer.body["code"] == "hold-expired" => {
                tally.with(|counts| counts.too_late += 1);
            }
            Some(answer) => tally.unexpected(Kind::Cancel, answer.status, &answer.body),
        }
    }

    /// Twice: who is not sure that it worked presses the button again, which is another key.
    async fn give_back(&self, order: Uuid, ticket: Uuid) {
        let tally = &self.sale.asker.tally;
        let wish = Wish {
            ticket: Some(ticket),
            ..self.wish(Kind::Release, Some(order), json!({"status": "cancelled"}))
        };
        let mut is_given_back = false;
        for _ in 0..2 {
            match self.sale.asker.ask(&wish).await {
                None => {}
                Some(answer) if is_ok(&answer) && answer.body["status"] == "revoked" => {
                    is_given_back = true;
                }
                // The refund was first.
                Some(answer)
                    if self.story.ending == Ending::GiveBackWhileRefunded
                        && answer.body["code"] == "revoked" => {}
                Some(answer) => tally.unexpected(Kind::Release, answer.status, &answer.body),
            }
        }
        tally.with(|counts| counts.given_back += u64::from(is_given_back));
    }

    /// By the organizer.
    async fn be_refunded(&self, order: Uuid) {
        let tally = &self.sale.asker.tally;
        let wish = Wish {
            account: &self.sale.accounts.organizer,
            ..self.wish(Kind::Refund, Some(order), Value::Null)
        };
        match self.sale.asker.ask(&wish).await {
            None => {}
            Some(answer) if is_ok(&answer) => tally.with(|counts| counts.refunded += 1),
            Some(answer) => tally.unexpected(Kind::Refund, answer.status, &answer.body),
        }
    }
}

fn end_of_hold(order: &Value) -> Option<Timestamp> {
    Timestamp::parse(order["expires_at"].as_str()?).ok()
}
