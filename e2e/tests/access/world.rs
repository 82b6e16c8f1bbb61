//! What the rows are about: things of one organizer and of one customer.

use anyhow::Context as _;
use e2e::events::concert;
use e2e::users::{fresh_email, id_of};
use e2e::wait::SOON;
use e2e::{PublishedEvent, Stack, TicketType, User, eventually, guests, orders, vouchers};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::callers::{CALLERS, CUSTOMER, Caller, ORGANIZER, token_of};

/// The code of every voucher that is made here.
pub(crate) const VOUCHER: &str = "ACCESS";

/// What a call is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thing {
    /// `{id}` of the path, or `{user_id}`.
    pub(crate) id: Uuid,
    /// `{ticket_type_id}`, `{guest_id}` or `{order_id}`, where the thing has one.
    pub(crate) part: Uuid,
}

/// The callers and what they have.
pub(crate) struct World {
    pub(crate) stack: Stack,
    /// By column, where a person calls.
    people: Vec<Option<User>>,
    /// By column.
    pub(crate) tokens: Vec<Option<String>>,
    /// For orders.
    pub(crate) on_sale: PublishedEvent,
}

impl World {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let stack = Stack::from_env();
        let (mut people, mut tokens) = (Vec::new(), Vec::new());
        for (_, caller) in CALLERS {
            let (mut person, mut token) = (None, None);
            match caller {
                Caller::Nobody => {}
                Caller::Person(roles) => person = Some(stack.user(roles).await?),
                Caller::Service(name) => token = Some(token_of(&stack, name).await?),
            }
            tokens.push(token.or(person.as_ref().map(|person| person.token.clone())));
            people.push(person);
        }
        let organizer = people[ORGANIZER].as_ref().context("an organizer")?;
        let on_sale = stack
            .published_event(organizer, &[TicketType::general(1_000)])
            .await?;
        Ok(Self {
            stack,
            people,
            tokens,
            on_sale,
        })
    }

    fn caller(&self, column: usize) -> anyhow::Result<&User> {
        self.people[column].as_ref().context("somebody")
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
            "an event on sale" => {
                let organizer = self.caller(ORGANIZER)?;
                let types = [TicketType::general(10)];
                let event = self.stack.published_event(organizer, &types).await?;
                let ticket_type = event.ticket_types[0];
                self.order_of(event.id, ticket_type).await?;
                (event.id, ticket_type)
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
            "an order of a user" => (self.caller(CUSTOMER)?.id, self.order().await?),
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
        let (event, ticket_type) = (self.on_sale.id, self.on_sale.ticket_types[0]);
        self.order_of(event, ticket_type).await
    }

    async fn order_of(&self, event: Uuid, ticket_type: Uuid) -> anyhow::Result<Uuid> {
        let (buyer, lines) = (self.caller(CUSTOMER)?, [(ticket_type, 1)]);
        let order = orders::place(self.stack.checkout(), buyer, event, &lines);
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
