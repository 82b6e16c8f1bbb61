//! What the rows are about: things of one organizer and of one customer.

use anyhow::Context as _;
use e2e::events::concert;
use e2e::users::{fresh_email, id_of};
use e2e::wait::SOON;
use e2e::{PublishedEvent, Stack, TicketType, User, eventually, guests, orders, vouchers};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::callers::{CUSTOMER, ORGANIZER, another};

/// The code of every voucher that is made here.
pub(crate) const VOUCHER: &str = "ACCESS";

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thing {
    /// `{id}` of the path, or `{user_id}`.
    pub(crate) id: Uuid,
    /// `{ticket_type_id}` or `{guest_id}`, where the thing has one.
    pub(crate) part: Uuid,
}

/// The callers and what they have.
pub(crate) struct World {
    pub(crate) stack: Stack,
    /// By column.
    pub(crate) callers: Vec<Option<User>>,
    /// For orders.
    pub(crate) on_sale: PublishedEvent,
}

impl World {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let stack = Stack::from_env();
        let mut callers = Vec::new();
        for column in 0..crate::callers::CALLERS.len() {
            callers.push(another(&stack, column).await?);
        }
        let organizer = callers[ORGANIZER].as_ref().context("an organizer")?;
        let on_sale = stack
            .published_event(organizer, &[TicketType::general(1_000)])
            .await?;
        Ok(Self {
            stack,
            callers,
            on_sale,
        })
    }

    fn caller(&self, column: usize) -> anyhow::Result<&User> {
        self.callers[column].as_ref().context("somebody")
    }

    /// Makes a new one of what the page calls `about`.
    pub(crate) async fn make(&self, about: &str) -> anyhow::Result<Thing> {
        let nothing = Uuid::nil();
        let (id, part) = match about {
            "" => (nothing, nothing),
            "a draft" => self.draft().await?,
            "a published event" => {
                let organizer = self.caller(ORGANIZER)?;
                let types = [TicketType::general(10), TicketType::vip(10)];
                let event = self.stack.published_event(organizer, &types).await?;
                (event.id, event.ticket_types[0])
            }
            "a guest" => {
                let organizer = self.caller(ORGANIZER)?;
                let email = fresh_email("guest");
                let body = guests::body(&email, self.on_sale.ticket_types[0]);
                let checkout = self.stack.checkout();
                let guest = guests::list(checkout, organizer, self.on_sale.id, &body);
                let guest = id_of(&guest.send().await?.expect(201)?)?;
                (self.on_sale.id, guest)
            }
            "a voucher" => {
                let (event, ticket_type) = self.draft().await?;
                let (api, organizer) = (self.stack.catalog(), self.caller(ORGANIZER)?);
                let voucher = vouchers::make(api, organizer, event, &vouchers::half(VOUCHER, 5));
                voucher.send().await?.expect(201)?;
                (event, ticket_type)
            }
            "an order" => (self.order().await?, nothing),
            "a paid order" => (id_of(&self.paid().await?)?, nothing),
            "a ticket" => (id_of(&self.paid().await?["tickets"][0])?, nothing),
            "a mail" => (self.mail().await?, nothing),
            "a case" => (self.case().await?, nothing),
            "a user" => (self.stack.customer().await?.id, nothing),
            other => anyhow::bail!("nobody knows how to make {other:?}"),
        };
        Ok(Thing { id, part })
    }

    async fn draft(&self) -> anyhow::Result<(Uuid, Uuid)> {
        let (api, organizer) = (self.stack.catalog(), self.caller(ORGANIZER)?);
        let draft = api
            .post("/v1/events")
            .by(organizer)
            .json(&concert("A draft", 30));
        let id = id_of(&draft.send().await?.expect(201)?)?;
        let types = api
            .post(format!("/v1/events/{id}/ticket-types"))
            .by(organizer);
        let made = types.json(&TicketType::general(10).body()).send().await?;
        Ok((id, id_of(&made.expect(201)?)?))
    }

    async fn order(&self) -> anyhow::Result<Uuid> {
        let lines = [(self.on_sale.ticket_types[0], 1)];
        let buyer = self.caller(CUSTOMER)?;
        let order = orders::place(self.stack.checkout(), buyer, self.on_sale.id, &lines);
        id_of(&order.send().await?.expect(201)?)
    }

    async fn paid(&self) -> anyhow::Result<Value> {
        let (order, buyer) = (self.order().await?, self.caller(CUSTOMER)?);
        let paid = orders::pay(self.stack.checkout(), buyer, order, orders::CARD_PAID);
        paid.send().await?.expect(200)
    }

    async fn case(&self) -> anyhow::Result<Uuid> {
        let body = json!({"subject": "Help", "message": "Please."});
        let call = self.stack.identity().post("/v1/support/cases");
        let opened = call.by(self.caller(CUSTOMER)?).json(&body);
        id_of(&opened.send().await?.expect(201)?)
    }

    /// The one that asks the customer to prove the address.
    async fn mail(&self) -> anyhow::Result<Uuid> {
        let customer = self.caller(CUSTOMER)?;
        eventually(SOON, "the customer's first mail", async || {
            let list = self.stack.mailer().get("/v1/notifications").by(customer);
            let page: Value = list.send().await?.expect(200)?;
            page["items"].get(0).map(id_of).transpose()
        })
        .await
    }
}
