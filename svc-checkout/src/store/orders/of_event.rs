//! Every order of an event, page by page: the buckets in which they lie follow from the event's id.

use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use super::rows::{BUCKETS_OF_EVENT, COLUMNS, OrderRow, first_bucket, order_of};
use crate::domain::order::Order;

/// How far a walk over the orders of an event has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    event_id: Uuid,
    /// Buckets behind it.
    done: i64,
    /// Its place in the bucket. No order has the nil id, which comes before all others.
    after: Uuid,
}

impl Walk {
    /// Over all orders of this event, from the first one.
    pub fn over(event_id: Uuid) -> Self {
        Self {
            event_id,
            done: 0,
            after: Uuid::nil(),
        }
    }
}

/// Reads the orders of events.
pub(super) struct OfEvent {
    page: PreparedStatement,
}

impl OfEvent {
    pub(super) async fn new(session: &Session) -> Result<Self, CqlError> {
        let page =
            format!("SELECT {COLUMNS} FROM orders WHERE bucket = ? AND order_id > ? LIMIT ?");
        Ok(Self {
            page: cql::prepare(session, &page).await?,
        })
    }

    /// The next orders, of at most `limit` rows, maybe none; `None` at the end of the walk.
    pub(super) async fn walk_on(
        &self,
        session: &Session,
        walk: &mut Walk,
        limit: i32,
    ) -> Result<Option<Vec<Order>>, CqlError> {
        if walk.done >= BUCKETS_OF_EVENT {
            return Ok(None);
        }
        let bucket = first_bucket(walk.event_id) + walk.done;
        let values = (bucket, walk.after, limit);
        let mut orders = Vec::new();
        let mut last = None;
        for row in cql::rows::<OrderRow>(session, &self.page, values).await? {
            last = Some(row.order_id);
            // Only its end is written yet, or it is of another event whose id ends alike.
            if row.lines.is_some() && row.event_id == Some(walk.event_id) {
                orders.push(order_of(row)?);
            }
        }
        match last {
            Some(last) => walk.after = last,
            // The bucket has no more.
            None => {
                walk.done += 1;
                walk.after = Uuid::nil();
            }
        }
        Ok(Some(orders))
    }
}
