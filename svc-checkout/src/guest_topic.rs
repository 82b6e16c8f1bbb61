//! The topic `checkout.guests`: who the buyers without an account are, for the mailer alone.

use std::sync::Arc;
use std::time::Duration;

use platform::avro::Encoder;
use platform::clock::Timestamp;
use platform::context::RequestContext;
use platform::cql::CqlError;
use platform::ids::derived_id;
use platform::intent::{Intent, Intents, Published};
use platform::kafka::headers::RecordHeaders;
use platform::kafka::partition_of;
use platform::kafka::producer::{ProduceError, Producer};
use schemas::Record as _;
use schemas::checkout::GuestSnapshot;
use schemas::topics::CHECKOUT_GUESTS;
use uuid::Uuid;

use crate::box_office::changelog::SOURCE;
use crate::domain::guest::{Guest, Standing};
use crate::domain::order::Status;
use crate::store::guests::GuestStore;
use crate::store::orders::OrderStore;

/// A wish without an order is forgotten after this time. Its command was refused or never decided; an order of it would
/// have its row by now, however long the database was away.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Publishes guests' newest state.
pub struct GuestTopic {
    /// Where to.
    pub producer: Producer,
    /// In which form.
    pub encoder: Encoder<GuestSnapshot>,
    /// Partitions of the topic.
    pub event_partitions: i32,
    /// What there is to say.
    pub guests: GuestStore,
    /// Who has a ticket.
    pub orders: Arc<OrderStore>,
    /// What is owed.
    pub intents: Intents,
}

impl Published for GuestTopic {
    type Row = Guest;

    async fn read(&self, id: Uuid) -> Result<Option<Guest>, CqlError> {
        self.guests.find(id).await
    }

    /// The request ended in the middle: whether the guest has a ticket, the order tells.
    async fn abandoned(&self, intent: Intent) -> Result<(), CqlError> {
        let guest = self.guests.find(intent.aggregate_id).await?;
        let Some(guest) = guest.filter(|guest| guest.standing == Standing::Wanted) else {
            return Ok(());
        };
        let order = self.orders.find(guest.order_id).await?;
        if order.is_some_and(|order| order.status != Status::Reserved) {
            self.guests.list(guest.id).await?;
        } else if Timestamp::now().since(guest.wanted_at) > FORGOTTEN_AFTER {
            self.guests.forget(&guest).await?;
        } else {
            self.intents.begin(guest.id).await?;
        }
        Ok(())
    }

    fn version(guest: &Guest) -> i64 {
        guest.version
    }

    async fn produce(&self, id: Uuid, guest: Option<&Guest>) -> Result<(), ProduceError> {
        let Some(guest) = guest.filter(|guest| guest.standing != Standing::Wanted) else {
            return Ok(());
        };
        let context = RequestContext::current();
        let headers = RecordHeaders {
            id: derived_id(id, &[GuestSnapshot::NAME, &guest.version.to_string()]),
            record_name: GuestSnapshot::NAME,
            source: SOURCE,
            subject: &id.to_string(),
            time: Timestamp::now(),
            traceparent: context.as_ref().map(RequestContext::traceparent),
        };
        let payload = snapshot(guest).map(|snapshot| self.encoder.encode(&snapshot));
        self.producer
            .send_to(
                CHECKOUT_GUESTS.name,
                partition_of(guest.event_id, self.event_partitions),
                &id.to_string(),
                headers.to_owned_headers(),
                payload.as_deref(),
            )
            .await
    }
}

/// `None` of one who was erased: a tombstone.
fn snapshot(guest: &Guest) -> Option<GuestSnapshot> {
    let person = guest.person.as_ref()?;
    Some(GuestSnapshot {
        guest_id: guest.id,
        event_id: guest.event_id,
        order_id: guest.order_id,
        version: guest.version,
        name: person.name.as_str().to_owned(),
        email: person.email.as_str().to_owned(),
        phone: person.phone.as_ref().map(|phone| phone.as_str().to_owned()),
        locale: guest.locale.clone(),
    })
}
