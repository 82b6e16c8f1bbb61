//! All tickets of a buyer, one page after the other.

use futures::{Stream, TryStreamExt as _, future, stream};
use platform::cql::CqlError;
use uuid::Uuid;

use super::OrderStore;

/// Places that are read at once.
const PLACES_AT_ONCE: usize = 200;

impl OrderStore {
    /// The order of a ticket, if it is the buyer's.
    pub async fn order_of_ticket(
        &self,
        user_id: Uuid,
        ticket_id: Uuid,
    ) -> Result<Option<Uuid>, CqlError> {
        let its_order = |(id, order_id): (Uuid, Uuid)| (id == ticket_id).then_some(order_id);
        let orders = self
            .tickets_of(user_id)
            .try_filter_map(|place| future::ok(its_order(place)));
        std::pin::pin!(orders).try_next().await
    }

    /// The orders of a buyer that have tickets, newest first.
    pub async fn orders_with_tickets(&self, user_id: Uuid) -> Result<Vec<Uuid>, CqlError> {
        let orders = self.tickets_of(user_id).map_ok(|(_, order_id)| order_id);
        let mut orders: Vec<Uuid> = orders.try_collect().await?;
        orders.dedup();
        Ok(orders)
    }

    /// Ticket and order.
    fn tickets_of(&self, user_id: Uuid) -> impl Stream<Item = Result<(Uuid, Uuid), CqlError>> {
        stream::try_unfold(Some(None), move |next| async move {
            let Some(after) = next else { return Ok(None) };
            let page = self.list_tickets(user_id, after, PLACES_AT_ONCE).await?;
            let last = page.last().map(|(at, id, _)| Some((*at, *id)));
            let next = last.filter(|_| page.len() == PLACES_AT_ONCE);
            let places = page.into_iter();
            let places = places.map(|(_, id, order_id)| Ok::<_, CqlError>((id, order_id)));
            Ok::<_, CqlError>(Some((stream::iter(places), next)))
        })
        .try_flatten()
    }
}
