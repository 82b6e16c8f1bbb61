//! The topic `checkout.attendees`: who comes with which ticket.
//!
//! The tickets of an order are published together, since their rows lie together: what did not change comes again in the
//! version that it had.

use std::sync::Arc;

use futures::future::try_join_all;
use platform::avro::Encoder;
use platform::context::RequestContext;
use platform::cql::CqlError;
use platform::ids::derived_id;
use platform::intent::{Intents, PublishError, Published, publish_newest};
use platform::kafka::headers::RecordHeaders;
use platform::kafka::partition_of;
use platform::kafka::producer::{ProduceError, Producer};
use schemas::Record as _;
use schemas::checkout::{self as record, AttendeeSnapshot};
use schemas::topics::CHECKOUT_ATTENDEES;
use uuid::Uuid;

use crate::box_office::changelog::SOURCE;
use crate::domain::attendee::{Attendance, Attendee};
use crate::store::attendees::AttendeeStore;
use crate::store::erased_users::ErasedUserStore;
use crate::store::orders::OrderStore;

/// What an erased user said goes while a last request may still say something; so often in a row none does.
const MAX_ROUNDS: usize = 20;

/// Publishes what was said last of tickets.
pub struct AttendeeTopic {
    /// Where to.
    pub producer: Producer,
    /// In which form.
    pub encoder: Encoder<AttendeeSnapshot>,
    /// Partitions of the topic.
    pub event_partitions: i32,
    /// What there is to say.
    pub attendees: AttendeeStore,
    /// Who has which tickets.
    pub orders: Arc<OrderStore>,
    /// Whose word is kept no more.
    pub erased_users: ErasedUserStore,
    /// What is owed, by order.
    pub intents: Intents,
}

impl AttendeeTopic {
    /// Takes away what a user said, and what a request that is under way still says; again is the same.
    pub async fn erase_of(&self, user_id: Uuid) -> Result<(), PublishError> {
        // First: what is written from now on goes with its own publication, what was written before is found here.
        self.erased_users.put(user_id).await?;
        for order_id in self.orders.orders_with_tickets(user_id).await? {
            publish_newest(self, order_id).await?;
        }
        Ok(())
    }
}

impl Published for AttendeeTopic {
    type Row = Vec<Attendee>;

    /// An owner who was erased meanwhile leaves nothing.
    async fn read(&self, order_id: Uuid) -> Result<Option<Vec<Attendee>>, CqlError> {
        for _ in 0..MAX_ROUNDS {
            let of_order = self.attendees.of_order(order_id).await?;
            let mut left = of_order.iter().filter(|attendee| !attendee.is_erased);
            // All tickets of an order have one owner.
            let Some(first) = left.next() else {
                return Ok(Some(of_order));
            };
            if !self.erased_users.has(first.user_id).await? {
                return Ok(Some(of_order));
            }
            for attendee in std::iter::once(first).chain(left) {
                self.attendees.erase(attendee).await?;
            }
        }
        Err(CqlError::Answer(format!(
            "order {order_id}: its erased owner goes on speaking"
        )))
    }

    /// Each only grows, and none goes away: the sum is another one with every change.
    fn version(of_order: &Vec<Attendee>) -> i64 {
        of_order.iter().map(|attendee| attendee.version).sum()
    }

    /// All at once: an order may have 2,000 tickets.
    async fn produce(&self, _: Uuid, of_order: Option<&Vec<Attendee>>) -> Result<(), ProduceError> {
        let of_order = of_order.into_iter().flatten();
        try_join_all(of_order.map(|attendee| self.produce_one(attendee))).await?;
        Ok(())
    }
}

impl AttendeeTopic {
    async fn produce_one(&self, attendee: &Attendee) -> Result<(), ProduceError> {
        let context = RequestContext::current();
        let id = attendee.ticket_id;
        let headers = RecordHeaders {
            id: derived_id(id, &[AttendeeSnapshot::NAME, &attendee.version.to_string()]),
            record_name: AttendeeSnapshot::NAME,
            source: SOURCE,
            subject: &id.to_string(),
            time: attendee.changed_at,
            traceparent: context.as_ref().map(RequestContext::traceparent),
        };
        let payload = snapshot(attendee).map(|snapshot| self.encoder.encode(&snapshot));
        self.producer
            .send_to(
                CHECKOUT_ATTENDEES.name,
                partition_of(attendee.event_id, self.event_partitions),
                &id.to_string(),
                headers.to_owned_headers(),
                payload.as_deref(),
            )
            .await
    }
}

/// `None` of an erased owner's: a tombstone.
fn snapshot(attendee: &Attendee) -> Option<AttendeeSnapshot> {
    if attendee.is_erased {
        return None;
    }
    let person = attendee.person.as_ref();
    let phone = person.and_then(|person| person.phone.as_ref());
    Some(AttendeeSnapshot {
        ticket_id: attendee.ticket_id,
        event_id: attendee.event_id,
        order_id: attendee.order_id,
        version: attendee.version,
        attendance: match attendee.attendance {
            Attendance::Pending => record::Attendance::Pending,
            Attendance::Confirmed => record::Attendance::Confirmed,
            Attendance::Cancelled => record::Attendance::Cancelled,
        },
        changed_at: attendee.changed_at.as_micros(),
        name: person.map(|person| person.name.as_str().to_owned()),
        email: person.map(|person| person.email.as_str().to_owned()),
        phone: phone.map(|phone| phone.as_str().to_owned()),
    })
}
