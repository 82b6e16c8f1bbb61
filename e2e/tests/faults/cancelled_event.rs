//! A service dies while a cancelled event comes to its end: the only svc-checkout among the refunds, or the only mailer
//! among the mails, of which several are on their way at any time; or that one stops.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::orders::{CARD_PAID, pay, place};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Mail, PublishedEvent, Role, Service, Stack, TicketType, User, eventually};
use futures::future::try_join_all;
use mail_parser::MessageParser;
use platform::ids::derived_id;
use schemas::checkout::{OrderRefunded, PaymentRefundDue, PaymentRefunded};
use schemas::mailer::NotificationSent;
use schemas::topics::{CHECKOUT_ORDERS, CHECKOUT_PAYMENTS, MAILER_NOTIFICATIONS};
use uuid::Uuid;

use crate::{TURN, stack_command};

const CHECKOUT: &str = "svc-checkout";
const MAILER: &str = "svc-mailer";
const MAIL_SERVER: &str = "mailbox";
/// So many that some are left when the first one is refunded.
const ORDERS: usize = 240;
/// So many that some are not told yet when the first one is.
const TOLD: usize = 96;
const AT_ONCE: usize = 16;
const ALL_REFUNDED: Duration = Duration::from_secs(90);

/// How many records of each kind there are about these orders.
async fn refunds(stack: &Stack, orders: &[Uuid]) -> anyhow::Result<[usize; 3]> {
    let keys: Vec<String> = orders.iter().map(Uuid::to_string).collect();
    let mut counts = [0; 3];
    for topic in [CHECKOUT_ORDERS.name, CHECKOUT_PAYMENTS.name] {
        let records = stack.all_records(topic).await?;
        for record in records.iter().filter(|record| keys.contains(&record.key)) {
            counts[0] += usize::from(record.is::<OrderRefunded>());
            counts[1] += usize::from(record.is::<PaymentRefundDue>());
            counts[2] += usize::from(record.is::<PaymentRefunded>());
        }
    }
    Ok(counts)
}

/// A buyer with paid orders of an event.
struct Sale {
    stack: Stack,
    organizer: User,
    event: PublishedEvent,
    buyer: User,
    /// Id and number.
    orders: Vec<(Uuid, String)>,
}

impl Sale {
    async fn of(count: usize) -> anyhow::Result<Self> {
        let stack = Stack::from_env();
        let organizer = stack.user(&[Role::Organizer]).await?;
        let ticket_types = [TicketType::general(1_000)];
        let event = stack.published_event(&organizer, &ticket_types).await?;
        let buyer = stack.customer().await?;
        let mut sale = Self {
            stack,
            organizer,
            event,
            buyer,
            orders: Vec::new(),
        };
        while sale.orders.len() < count {
            let bought = try_join_all((0..AT_ONCE).map(|_| sale.buy())).await?;
            sale.orders.extend(bought);
        }
        Ok(sale)
    }

    async fn buy(&self) -> anyhow::Result<(Uuid, String)> {
        let checkout = self.stack.checkout();
        let lines = [(self.event.ticket_types[0], 1)];
        let order = place(checkout, &self.buyer, self.event.id, &lines);
        let order = order.send().await?.expect(201)?;
        let id = id_of(&order)?;
        let paid = pay(checkout, &self.buyer, id, CARD_PAID).send().await?;
        paid.expect(200)?;
        let number = order["number"].as_str().context("a number")?;
        Ok((id, number.to_owned()))
    }

    fn ids(&self) -> Vec<Uuid> {
        self.orders.iter().map(|(id, _)| *id).collect()
    }

    async fn call_off(&self) -> anyhow::Result<()> {
        let path = format!("/v1/events/{}/cancel", self.event.id);
        let cancel = self.stack.catalog().post(path).by(&self.organizer);
        cancel.send().await?.expect(200)?;
        Ok(())
    }

    async fn call_off_until_the_first_mail(&self) -> anyhow::Result<()> {
        let mut sent = self.stack.records_from_now(MAILER_NOTIFICATIONS.name)?;
        self.call_off().await?;
        let ids: HashSet<String> = self.ids().into_iter().map(mail_id).collect();
        sent.wait_for("the first mail", SOON, |record| ids.contains(&record.key))
            .await?;
        Ok(())
    }

    /// Stops the mailer while the mail server has mails about ended orders and says nothing; it goes on when the stop has begun.
    async fn stop_with_mails_in_hand(&self) -> anyhow::Result<()> {
        stack_command("freeze", MAIL_SERVER).await?;
        let in_hand = eventually(SOON, "a mail in hand", async || {
            let found = self.mails_in_hand().await?;
            Ok((found > 0).then_some(()))
        })
        .await;
        let admin = self.stack.admin_port(Service::Mailer);
        let answered = async {
            let stopping = eventually(SOON, "the mailer to be stopping", async || {
                let is_ready = admin.get("/readyz").status().await? == 200;
                Ok((!is_ready).then_some(()))
            })
            .await;
            // Whatever came of it: others have mails, too.
            stack_command("thaw", MAIL_SERVER).await?;
            stopping
        };
        let (stopped, answered) = tokio::join!(stack_command("stop", MAILER), answered);
        in_hand.and(answered).and(stopped)
    }

    /// How many mails about ended orders the mail server is being given.
    async fn mails_in_hand(&self) -> anyhow::Result<usize> {
        let path = format!("/v1/notifications?status=queued&event_id={}", self.event.id);
        let queued = self.stack.mailer().get(path).by(&self.buyer).send().await?;
        let queued = queued.expect(200)?;
        let queued = queued["items"].as_array().context("a page")?;
        let in_hand = queued.iter().filter(|mail| {
            mail["template"] == "event-cancelled"
                && mail["attempts"] == 1
                && mail["reason"].is_null()
        });
        Ok(in_hand.count())
    }

    /// Waits until a mail about each order is out.
    async fn await_mails(&self) -> anyhow::Result<()> {
        let wanted: HashSet<String> = self.orders.iter().map(|(id, _)| mail_id(*id)).collect();
        let mut sent = self.stack.records(MAILER_NOTIFICATIONS.name)?;
        let mut told = HashSet::new();
        while told != wanted {
            let record = sent
                .wait_for("a mail about each order", ALL_REFUNDED, |record| {
                    record.is::<NotificationSent>() && wanted.contains(&record.key)
                })
                .await?;
            told.insert(record.key);
        }
        Ok(())
    }

    /// The mails about the end of each order.
    async fn mails(&self) -> anyhow::Result<Vec<Vec<Mail>>> {
        let mails = self.stack.mailbox().to(&self.buyer.email).await?;
        let ended = |mail: &&Mail| mail.subject.starts_with("Cancelled: ");
        let about = |number: &str| -> Vec<Mail> {
            let of_order = mails.iter().filter(ended).filter(|mail| mail.says(number));
            of_order.cloned().collect()
        };
        Ok(self
            .orders
            .iter()
            .map(|(_, number)| about(number))
            .collect())
    }
}

/// The key of the record that the mail about an order of a cancelled event is out.
fn mail_id(order: Uuid) -> String {
    derived_id(order, &["event-cancelled"]).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_among_the_refunds_of_a_cancelled_event_leaves_none_out() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let sale = Sale::of(ORDERS).await?;
    let (stack, orders) = (&sale.stack, &sale.ids());

    let mut refunded = stack.records_from_now(CHECKOUT_ORDERS.name)?;
    sale.call_off().await?;
    refunded
        .wait_for("the first refund", SOON, |record| {
            record.is::<OrderRefunded>() && orders.iter().any(|id| record.key == id.to_string())
        })
        .await?;
    stack_command("kill", CHECKOUT).await?;
    let [before, ..] = refunds(stack, orders).await?;
    stack_command("start", CHECKOUT).await?;

    let path = format!("/v1/events/{}/availability", sale.event.id);
    eventually(ALL_REFUNDED, "no ticket to be sold", async || {
        let left = stack.catalog().get(&path).send().await?.expect(200)?;
        let left = left["ticket_types"].get(0).context("a ticket type")?;
        Ok((left["sold"] == 0 && left["held"] == 0).then_some(()))
    })
    .await?;
    let counts = eventually(ALL_REFUNDED, "all money to be paid back", async || {
        let counts = refunds(stack, orders).await?;
        Ok((counts[2] >= orders.len()).then_some(counts))
    })
    .await?;
    ensure!(
        counts == [orders.len(); 3],
        "each order once, {before} of {} before the kill: {counts:?}",
        orders.len()
    );
    sale.await_mails().await?;
    for mails in sale.mails().await? {
        ensure!(mails.len() == 1, "one mail about each order: {mails:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_among_the_mails_of_a_cancelled_event_sends_each_once() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let sale = Sale::of(TOLD).await?;
    sale.call_off_until_the_first_mail().await?;
    sale.stop_with_mails_in_hand().await?;
    stack_command("start", MAILER).await?;
    sale.await_mails().await?;
    for mails in sale.mails().await? {
        ensure!(mails.len() == 1, "one mail about each order: {mails:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_among_the_mails_of_a_cancelled_event_leaves_nobody_out() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let sale = Sale::of(TOLD).await?;
    let stack = &sale.stack;
    sale.call_off_until_the_first_mail().await?;
    stack_command("kill", MAILER).await?;
    stack_command("start", MAILER).await?;
    sale.await_mails().await?;
    for mails in sale.mails().await? {
        // A mail that was handed over when the mailer died comes again as the same one.
        let mut message_ids = HashSet::new();
        for mail in &mails {
            let source = stack.mailbox().source(mail).await?;
            let mail = MessageParser::default().parse(&source).context("a mail")?;
            message_ids.insert(mail.message_id().context("a Message-ID")?.to_owned());
        }
        ensure!(
            message_ids.len() == 1,
            "one mail about each order: {mails:?}"
        );
    }
    Ok(())
}
