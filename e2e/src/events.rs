//! Events to sell tickets for.

use std::time::Duration;

use platform::clock::Timestamp;
use platform::ids::new_id;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::Api;
use crate::stack::Stack;
use crate::users::{User, id_of};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// After midnight UTC: half past seven or eight in most of Europe.
const EVENING: Duration = Duration::from_secs(18 * 3600 + 30 * 60);
/// How far ahead the events of tests lie.
const TEST_EVENT_IN_DAYS: u32 = 30;

/// A ticket type to be made.
#[derive(Debug, Clone)]
pub struct TicketType {
    /// Name on the ticket.
    pub name: String,
    /// general, vip, …
    pub kind: String,
    /// Price in cents of a euro.
    pub price_cents: i64,
    /// Seats.
    pub quantity: u32,
    /// Limit per buyer.
    pub max_per_buyer: Option<u32>,
}

impl TicketType {
    /// General admission at 25.00 EUR.
    pub fn general(quantity: u32) -> Self {
        Self {
            name: "General admission".to_owned(),
            kind: "general".to_owned(),
            price_cents: 2_500,
            quantity,
            max_per_buyer: None,
        }
    }

    /// VIP at 75.00 EUR.
    pub fn vip(quantity: u32) -> Self {
        Self {
            name: "VIP".to_owned(),
            kind: "vip".to_owned(),
            price_cents: 7_500,
            ..Self::general(quantity)
        }
    }

    /// The same at another price.
    #[must_use]
    pub fn at(self, price_cents: i64) -> Self {
        Self {
            price_cents,
            ..self
        }
    }

    /// The same with a limit per buyer.
    #[must_use]
    pub fn at_most(self, max_per_buyer: u32) -> Self {
        Self {
            max_per_buyer: Some(max_per_buyer),
            ..self
        }
    }

    /// What `POST …/ticket-types` takes.
    pub fn body(&self) -> Value {
        json!({
            "name": self.name,
            "kind": self.kind,
            "price": {"amount": self.price_cents, "currency": "EUR"},
            "quantity": self.quantity,
            "max_per_buyer": self.max_per_buyer,
        })
    }
}

/// An event that is on sale.
#[derive(Debug, Clone)]
pub struct PublishedEvent {
    /// Id.
    pub id: Uuid,
    /// Title.
    pub name: String,
    /// Ids of the ticket types, in the order in which they were asked for.
    pub ticket_types: Vec<Uuid>,
}

/// What `POST /v1/events` takes, for a concert in Lyon on an evening `in_days` from now.
pub fn concert(name: &str, in_days: u32) -> Value {
    let days = Timestamp::now()
        .as_seconds()
        .div_euclid(DAY.as_secs().cast_signed());
    let midnight = Timestamp::from_seconds(days * DAY.as_secs().cast_signed());
    let starts_at = midnight.saturating_add(DAY * in_days + EVENING);
    json!({
        "name": name,
        "type": "concert",
        "description": "An evening with the band and its guests.",
        "venue": {"name": "Halle Tony Garnier", "city": "Lyon", "address": "20 place Docteurs Mérieux"},
        "starts_at": starts_at,
        "ends_at": starts_at.saturating_add(Duration::from_secs(3 * 3600)),
        "time_zone": "Europe/Paris",
    })
}

/// Makes an event with its ticket types and publishes it.
pub async fn publish(
    api: &Api,
    organizer: &User,
    event: &Value,
    ticket_types: &[TicketType],
) -> anyhow::Result<PublishedEvent> {
    let draft = api
        .post("/v1/events")
        .by(organizer)
        .json(event)
        .send()
        .await?
        .expect(201)?;
    let id = id_of(&draft)?;
    let path = format!("/v1/events/{id}");
    let mut ids = Vec::with_capacity(ticket_types.len());
    for wanted in ticket_types {
        let made = api
            .post(format!("{path}/ticket-types"))
            .by(organizer)
            .json(&wanted.body())
            .send()
            .await?
            .expect(201)?;
        ids.push(id_of(&made)?);
    }
    let etag = api.get(&path).by(organizer).send().await?.etag()?;
    api.post(format!("{path}/publish"))
        .by(organizer)
        .if_match(&etag)
        .send()
        .await?
        .expect(200)?;
    Ok(PublishedEvent {
        id,
        name: draft["name"].as_str().unwrap_or_default().to_owned(),
        ticket_types: ids,
    })
}

impl Stack {
    /// A fresh event of `organizer`, on sale.
    pub async fn published_event(
        &self,
        organizer: &User,
        ticket_types: &[TicketType],
    ) -> anyhow::Result<PublishedEvent> {
        let name = format!("Test concert {}", new_id().simple());
        publish(
            self.catalog(),
            organizer,
            &concert(&name, TEST_EVENT_IN_DAYS),
            ticket_types,
        )
        .await
    }
}
