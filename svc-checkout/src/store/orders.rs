//! Orders and tickets: projections of the ledger.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use crate::domain::fact::{RefundedOrder, TicketReleased};
use crate::domain::order::{Order, Status};

mod batches;
mod of_event;
mod places;
mod purchases;
mod rows;
mod tickets_of;

use of_event::OfEvent;
pub use of_event::Walk;
use places::{Places, partition_of};
pub use places::{Position, is_possible};
pub use purchases::Purchase;
use purchases::Purchases;
use rows::{COLUMNS, EndedRow, OrderRow, PaidRow, ReservedRow, bucket, order_of};

/// Rows of one page that are read at once.
const READS_AT_ONCE: usize = 16;

/// How an order came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    order_id: Uuid,
    version: i64,
    status: Status,
    at: Timestamp,
}

impl End {
    /// Of an order that ended unpaid.
    pub fn of(order: &Order) -> Self {
        Self {
            order_id: order.id,
            version: order.version,
            status: order.status,
            at: order.updated_at,
        }
    }

    /// Of a paid one that was taken back.
    pub fn refunded(order: &RefundedOrder) -> Self {
        Self {
            order_id: order.order_id,
            version: order.version,
            status: Status::Refunded,
            at: order.at,
        }
    }
}

/// Reads and writes orders.
pub struct OrderStore {
    session: Arc<Session>,
    insert_reserved: PreparedStatement,
    insert_paid: PreparedStatement,
    update_ended: PreparedStatement,
    update_version: PreparedStatement,
    update_released: PreparedStatement,
    insert_order_place: PreparedStatement,
    insert_ticket_place: PreparedStatement,
    select: PreparedStatement,
    of_event: OfEvent,
    order_places: Places,
    ticket_places: Places,
    purchases: Purchases,
}

impl OrderStore {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        let prepare = |text: &'static str| cql::prepare(&session, text);
        Ok(Self {
            insert_reserved: prepare(
                "INSERT INTO orders (bucket, order_id, event_id, user_id, version, status, currency, \
                 lines, total, voucher, reserved_at, expires_at, updated_at, fingerprint) \
                 VALUES (:bucket, :order_id, :event_id, :user_id, :version, :status, :currency, :lines, \
                 :total, :voucher, :reserved_at, :expires_at, :updated_at, :fingerprint) \
                 USING TIMESTAMP :written_at",
            )
            .await?,
            insert_paid: prepare(
                "INSERT INTO orders (bucket, order_id, event_id, user_id, version, status, currency, \
                 lines, tickets, total, reserved_at, expires_at, updated_at, paid_at, payment_id) \
                 VALUES (:bucket, :order_id, :event_id, :user_id, :version, :status, :currency, :lines, \
                 :tickets, :total, :reserved_at, null, :updated_at, :paid_at, :payment_id) \
                 USING TIMESTAMP :written_at",
            )
            .await?,
            update_ended: prepare(
                "UPDATE orders USING TIMESTAMP :updated_at SET status = :status, version = :version, \
                 expires_at = null, updated_at = :updated_at \
                 WHERE bucket = :bucket AND order_id = :order_id",
            )
            .await?,
            update_version: prepare(
                "UPDATE orders USING TIMESTAMP ? SET version = ?, updated_at = ? \
                 WHERE bucket = ? AND order_id = ?",
            )
            .await?,
            update_released: prepare(
                "UPDATE orders USING TIMESTAMP ? SET version = ?, updated_at = ?, released = released + ? \
                 WHERE bucket = ? AND order_id = ?",
            )
            .await?,
            insert_order_place: prepare(
                "INSERT INTO orders_by_user (year, bucket, user_id, reserved_at, order_id) \
                 VALUES (?, ?, ?, ?, ?)",
            )
            .await?,
            insert_ticket_place: prepare(
                "INSERT INTO tickets_by_user (year, bucket, user_id, purchased_at, ticket_id, order_id) \
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .await?,
            select: cql::prepare(
                &session,
                &format!("SELECT {COLUMNS} FROM orders WHERE bucket = ? AND order_id = ?"),
            )
            .await?,
            of_event: OfEvent::new(&session).await?,
            order_places: Places::new(
                &session,
                "orders_by_user",
                ["reserved_at", "order_id"],
                "reserved_at, order_id",
            )
            .await?,
            ticket_places: Places::new(
                &session,
                "tickets_by_user",
                ["purchased_at", "ticket_id"],
                "purchased_at, ticket_id, order_id",
            )
            .await?,
            purchases: Purchases::new(),
            session,
        })
    }

    /// New orders, and the place of each among its buyer's.
    pub async fn write_reserved(&self, orders: &[Arc<Order>]) -> Result<(), CqlError> {
        let rows = orders
            .iter()
            .map(|order| (rows::bytes(order), ReservedRow::of(order)));
        let places = orders.iter().map(|order| {
            let at = order.reserved_at;
            let (year, bucket) = partition_of(order.user_id, at);
            let place = (year, bucket, order.user_id, at.as_micros(), order.id);
            (places::BYTES, place)
        });
        futures::try_join!(
            self.write(&self.insert_reserved, rows),
            self.write(&self.insert_order_place, places),
        )?;
        for order in orders {
            self.purchases.remember(order);
        }
        Ok(())
    }

    /// Paid orders with their tickets.
    pub async fn write_paid(&self, orders: &[Arc<Order>]) -> Result<(), CqlError> {
        let rows = orders
            .iter()
            .map(|order| (rows::bytes(order), PaidRow::of(order)));
        let places = orders.iter().flat_map(|order| {
            let (user_id, at) = (order.user_id, order.updated_at);
            let (year, bucket) = partition_of(user_id, at);
            order.tickets.iter().map(move |ticket| {
                let place = (year, bucket, user_id, at.as_micros(), ticket.id, order.id);
                (places::BYTES, place)
            })
        });
        // The places first: whoever reads that the order is paid finds its tickets by their ids.
        self.write(&self.insert_ticket_place, places).await?;
        self.write(&self.insert_paid, rows).await
    }

    /// Orders that came to their end.
    pub async fn write_ended(&self, ends: &[End]) -> Result<(), CqlError> {
        let rows = ends.iter().map(|end| (EndedRow::BYTES, EndedRow::of(end)));
        self.write(&self.update_ended, rows).await
    }

    /// Rows of one statement, each with about its size in bytes.
    fn write<'a, R: SerializeRow + Send + Sync + 'a>(
        &'a self,
        statement: &'a PreparedStatement,
        rows: impl Iterator<Item = (usize, R)>,
    ) -> impl Future<Output = Result<(), CqlError>> + Send + 'a {
        let requests = batches::requests(&self.session, statement, rows);
        async move { batches::send_all(&self.session, statement, requests?).await }
    }

    /// An order of which only the version moved.
    pub async fn write_version(
        &self,
        order_id: Uuid,
        version: i64,
        at: Timestamp,
    ) -> Result<(), CqlError> {
        let at = at.as_micros();
        self.session
            .execute_unpaged(
                &self.update_version,
                (at, version, at, bucket(order_id), order_id),
            )
            .await?;
        Ok(())
    }

    /// A paid order of which a ticket was given back.
    pub async fn write_released(&self, released: &TicketReleased) -> Result<(), CqlError> {
        let (at, id) = (released.at.as_micros(), released.order_id);
        let tickets = [released.ticket.ticket_id];
        self.session
            .execute_unpaged(
                &self.update_released,
                (at, released.version, at, &tickets[..], bucket(id), id),
            )
            .await?;
        Ok(())
    }

    /// The order with this id.
    pub async fn find(&self, order_id: Uuid) -> Result<Option<Order>, CqlError> {
        let values = (bucket(order_id), order_id);
        let row = cql::first_row::<OrderRow>(&self.session, &self.select, values).await?;
        // A row that has only its end yet: the beginning is being written.
        match row {
            Some(row) if row.lines.is_some() => Ok(Some(order_of(row)?)),
            _ => Ok(None),
        }
    }

    /// Whose the order with this id is and what for. Most are paid soon after they were written here: no read for these.
    pub async fn purchase(&self, order_id: Uuid) -> Result<Option<Purchase>, CqlError> {
        if let Some(purchase) = self.purchases.get(order_id) {
            return Ok(Some(purchase));
        }
        Ok(self.find(order_id).await?.map(|order| Purchase::of(&order)))
    }

    /// Orders by id, in the order asked for; one whose row is not there yet is left out.
    pub async fn find_all(
        &self,
        ids: impl IntoIterator<Item = Uuid>,
    ) -> Result<Vec<Order>, CqlError> {
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let found: Vec<Option<Order>> = stream::iter(ids)
            .map(|id| self.find(id))
            .buffered(READS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The next orders of an event, of at most `limit` rows, maybe none; `None` at the end of the walk.
    pub async fn walk_on(
        &self,
        walk: &mut Walk,
        limit: i32,
    ) -> Result<Option<Vec<Order>>, CqlError> {
        self.of_event.walk_on(&self.session, walk, limit).await
    }

    /// A buyer's orders, newest first.
    pub async fn list_by_user(
        &self,
        user_id: Uuid,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Position>, CqlError> {
        self.order_places
            .list(&self.session, user_id, after, limit)
            .await
    }

    /// A buyer's tickets, newest first: time and id of each with its order.
    pub async fn list_tickets(
        &self,
        user_id: Uuid,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<(i64, Uuid, Uuid)>, CqlError> {
        self.ticket_places
            .list(&self.session, user_id, after, limit)
            .await
    }
}
