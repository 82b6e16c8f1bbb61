//! An event is cancelled, through the gateway: everybody who had an order of it is told by mail.

use anyhow::{Context as _, ensure};
use e2e::users::id_of;
use e2e::wait::SOON;
use e2e::{Role, Stack, TicketType, User, eventually, orders};
use serde_json::Value;
use uuid::Uuid;

/// An order and who placed it.
struct Ordered {
    buyer: User,
    id: Uuid,
    number: String,
}

impl Ordered {
    async fn new(
        stack: &Stack,
        locale: &str,
        event: Uuid,
        line: (Uuid, u32),
    ) -> anyhow::Result<Self> {
        let buyer = stack.user_who_reads(locale, &[]).await?;
        let order = orders::place(stack.gateway(), &buyer, event, &[line]);
        let order = order.send().await?.expect(201)?;
        let number = order["number"].as_str().context("a number")?;
        Ok(Self {
            id: id_of(&order)?,
            number: number.to_owned(),
            buyer,
        })
    }

    /// What the history says that was sent about the end of the event, once something was.
    async fn told(&self, stack: &Stack) -> anyhow::Result<Value> {
        let path = format!("/v1/notifications?order_id={}", self.id);
        eventually(SOON, "a mail about the cancelled event", async || {
            let page = stack.gateway().get(&path).by(&self.buyer).send().await?;
            let page = page.expect(200)?;
            let items = page["items"].as_array().context("a list")?;
            let is_it =
                |item: &&Value| item["template"] == "event-cancelled" && item["status"] == "sent";
            Ok(items.iter().find(is_it).cloned())
        })
        .await
    }
}

#[tokio::test]
async fn every_buyer_is_told_and_what_becomes_of_the_money() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let api = stack.gateway();
    let organizer = stack.user(&[Role::Organizer]).await?;
    let types = [TicketType::general(10), TicketType::vip(10).at(0)];
    let event = stack.published_event(&organizer, &types).await?;
    let [general, free] = event.ticket_types[..] else {
        anyhow::bail!("two ticket types were made");
    };
    let paid = Ordered::new(&stack, "fr", event.id, (general, 2)).await?;
    let payment = orders::pay(api, &paid.buyer, paid.id, orders::CARD_PAID);
    payment.send().await?.expect(200)?;
    let free = Ordered::new(&stack, "es", event.id, (free, 1)).await?;
    let held = Ordered::new(&stack, "en", event.id, (general, 1)).await?;

    let cancel = format!("/v1/events/{}/cancel", event.id);
    let cancel = api.post(cancel).by(&organizer).send().await?;
    cancel.expect(200)?;

    for (order, language, says) in [
        (&paid, "fr", "Nous vous remboursons 50,00 EUR"),
        (&free, "es", "no hay nada que devolver"),
        (&held, "en", "there is nothing to pay back"),
    ] {
        let told = order.told(&stack).await?;
        ensure!(told["language"] == language, "{told}");
        let mails = stack.mailbox().to(&order.buyer.email).await?;
        let says_so = |mail: &&e2e::Mail| mail.says(&order.number) && mail.says(says);
        let about: Vec<_> = mails.iter().filter(says_so).collect();
        let [mail] = about[..] else {
            anyhow::bail!("{} mails that say {says}: {mails:?}", about.len());
        };
        ensure!(mail.subject.contains(&event.name), "{mail:?}");
        ensure!(mail.html.is_some(), "both parts");
    }
    Ok(())
}
