//! Orders and tickets: projections of the ledger.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

use crate::domain::order::Order;

mod rows;

use rows::{OrderRow, PaidRow, ReservedRow, bucket, order_of};

/// Rows of one page that are read at once.
const READS_AT_ONCE: usize = 16;
/// Requests of one call that are on their way at once.
const WRITES_AT_ONCE: usize = 64;
/// Keeps a batch below the 40 KiB at which the databases refuse it: an order of 20 lines has 1.3 KiB, of one 0.3 KiB.
const ORDERS_PER_BATCH: usize = 30;
/// Keeps a batch far below those 40 KiB.
const TICKETS_PER_BATCH: usize = 100;
/// Cassandra warns of unlogged batches with more partitions.
const PLACES_PER_BATCH: usize = 10;

/// Where a page of a buyer's orders or tickets goes on: time in µs and id of its last entry.
pub type Position = (i64, Uuid);

/// Reads and writes orders.
pub struct OrderStore {
    session: Arc<Session>,
    insert_reserved: PreparedStatement,
    insert_paid: PreparedStatement,
    update_ended: PreparedStatement,
    update_version: PreparedStatement,
    insert_by_user: PreparedStatement,
    insert_ticket: PreparedStatement,
    select: PreparedStatement,
    select_by_user: PreparedStatement,
    select_by_user_after: PreparedStatement,
    select_tickets: PreparedStatement,
    select_tickets_after: PreparedStatement,
}

impl OrderStore {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        let prepare = |text: &'static str| cql::prepare(&session, text);
        Ok(Self {
            insert_reserved: prepare(
                "INSERT INTO orders (bucket, order_id, event_id, user_id, version, status, currency, \
                 lines, total, reserved_at, expires_at, updated_at, fingerprint) \
                 VALUES (:bucket, :order_id, :event_id, :user_id, :version, :status, :currency, :lines, \
                 :total, :reserved_at, :expires_at, :updated_at, :fingerprint) \
                 USING TIMESTAMP :written_at",
            )
            .await?,
            insert_paid: prepare(
                "INSERT INTO orders (bucket, order_id, event_id, user_id, version, status, currency, \
                 lines, tickets, total, reserved_at, expires_at, updated_at, payment_id) \
                 VALUES (:bucket, :order_id, :event_id, :user_id, :version, :status, :currency, :lines, \
                 :tickets, :total, :reserved_at, null, :updated_at, :payment_id) \
                 USING TIMESTAMP :written_at",
            )
            .await?,
            update_ended: prepare(
                "UPDATE orders USING TIMESTAMP ? SET status = ?, version = ?, expires_at = null, \
                 updated_at = ? WHERE bucket = ? AND order_id = ?",
            )
            .await?,
            update_version: prepare(
                "UPDATE orders USING TIMESTAMP ? SET version = ?, updated_at = ? \
                 WHERE bucket = ? AND order_id = ?",
            )
            .await?,
            insert_by_user: prepare(
                "INSERT INTO orders_by_user (user_id, reserved_at, order_id) VALUES (?, ?, ?)",
            )
            .await?,
            insert_ticket: prepare(
                "INSERT INTO tickets_by_user (user_id, purchased_at, ticket_id, order_id) \
                 VALUES (?, ?, ?, ?)",
            )
            .await?,
            select: prepare(
                "SELECT order_id, event_id, user_id, version, status, currency, lines, tickets, \
                 total, reserved_at, expires_at, updated_at, payment_id, fingerprint \
                 FROM orders WHERE bucket = ? AND order_id = ?",
            )
            .await?,
            select_by_user: prepare(
                "SELECT reserved_at, order_id FROM orders_by_user WHERE user_id = ? LIMIT ?",
            )
            .await?,
            select_by_user_after: prepare(
                "SELECT reserved_at, order_id FROM orders_by_user \
                 WHERE user_id = ? AND (reserved_at, order_id) < (?, ?) LIMIT ?",
            )
            .await?,
            select_tickets: prepare(
                "SELECT purchased_at, ticket_id, order_id FROM tickets_by_user \
                 WHERE user_id = ? LIMIT ?",
            )
            .await?,
            select_tickets_after: prepare(
                "SELECT purchased_at, ticket_id, order_id FROM tickets_by_user \
                 WHERE user_id = ? AND (purchased_at, ticket_id) < (?, ?) LIMIT ?",
            )
            .await?,
            session,
        })
    }

    /// New orders, and the place of each among its buyer's.
    ///
    /// The rows of one bucket are one write. Their places are in a partition per buyer; some of them travel together,
    /// since a request costs the database more than a row.
    pub async fn write_reserved(&self, orders: &[Arc<Order>]) -> Result<(), CqlError> {
        let mut buckets: HashMap<i64, Vec<&Order>> = HashMap::new();
        for order in orders {
            buckets.entry(bucket(order.id)).or_default().push(order);
        }
        let mut writes = Vec::new();
        for orders in buckets.values() {
            for some in orders.chunks(ORDERS_PER_BATCH) {
                let rows = some.iter().map(|order| ReservedRow::of(order)).collect();
                writes.push(self.write(&self.insert_reserved, rows).boxed());
            }
        }
        for some in orders.chunks(PLACES_PER_BATCH) {
            let places = some
                .iter()
                .map(|order| (order.user_id, order.reserved_at.as_micros(), order.id))
                .collect();
            writes.push(self.write(&self.insert_by_user, places).boxed());
        }
        stream::iter(writes)
            .buffer_unordered(WRITES_AT_ONCE)
            .try_collect()
            .await
    }

    /// Some rows of one statement, in one request.
    async fn write<R: SerializeRow>(
        &self,
        statement: &PreparedStatement,
        rows: Vec<R>,
    ) -> Result<(), CqlError> {
        let mut batch = Batch::new(BatchType::Unlogged);
        for _ in &rows {
            batch.append_statement(statement.clone());
        }
        self.session.batch(&batch, rows).await?;
        Ok(())
    }

    /// A paid order with its tickets.
    pub async fn write_paid(&self, order: &Order) -> Result<(), CqlError> {
        let at = order.updated_at.as_micros();
        let row = PaidRow::of(order);
        let paid = async {
            self.session
                .execute_unpaged(&self.insert_paid, &row)
                .await?;
            Ok(())
        };
        let tickets = async {
            // One partition, so one batch is one write.
            for some in order.tickets.chunks(TICKETS_PER_BATCH) {
                let places = some
                    .iter()
                    .map(|ticket| (order.user_id, at, ticket.id, order.id))
                    .collect();
                self.write(&self.insert_ticket, places).await?;
            }
            Ok::<_, CqlError>(())
        };
        futures::try_join!(paid, tickets)?;
        Ok(())
    }

    /// An order that ended unpaid.
    pub async fn write_ended(&self, order: &Order) -> Result<(), CqlError> {
        let at = order.updated_at.as_micros();
        let status = order.status.as_str();
        let values = (at, status, order.version, at, bucket(order.id), order.id);
        self.session
            .execute_unpaged(&self.update_ended, values)
            .await?;
        Ok(())
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

    /// The order with this id.
    pub async fn find(&self, order_id: Uuid) -> Result<Option<Order>, CqlError> {
        let row = self
            .session
            .execute_unpaged(&self.select, (bucket(order_id), order_id))
            .await?
            .into_rows_result()
            .map_err(CqlError::answer)?
            .maybe_first_row::<OrderRow>()
            .map_err(CqlError::answer)?;
        // A row that has only its end yet: the beginning is being written.
        match row {
            Some(row) if row.lines.is_some() => Ok(Some(order_of(row)?)),
            _ => Ok(None),
        }
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

    /// A buyer's orders, newest first.
    pub async fn list_by_user(
        &self,
        user_id: Uuid,
        after: Option<Position>,
        limit: i32,
    ) -> Result<Vec<Position>, CqlError> {
        let answer = match after {
            None => {
                self.session
                    .execute_unpaged(&self.select_by_user, (user_id, limit))
                    .await?
            }
            Some((at, id)) => {
                let values = (user_id, at, id, limit);
                self.session
                    .execute_unpaged(&self.select_by_user_after, values)
                    .await?
            }
        };
        let rows = answer.into_rows_result().map_err(CqlError::answer)?;
        rows.rows::<Position>()
            .map_err(CqlError::answer)?
            .collect::<Result<_, _>>()
            .map_err(CqlError::answer)
    }

    /// A buyer's tickets, newest first: time and id of each with its order.
    pub async fn list_tickets(
        &self,
        user_id: Uuid,
        after: Option<Position>,
        limit: i32,
    ) -> Result<Vec<(i64, Uuid, Uuid)>, CqlError> {
        let answer = match after {
            None => {
                self.session
                    .execute_unpaged(&self.select_tickets, (user_id, limit))
                    .await?
            }
            Some((at, id)) => {
                let values = (user_id, at, id, limit);
                self.session
                    .execute_unpaged(&self.select_tickets_after, values)
                    .await?
            }
        };
        let rows = answer.into_rows_result().map_err(CqlError::answer)?;
        rows.rows::<(i64, Uuid, Uuid)>()
            .map_err(CqlError::answer)?
            .collect::<Result<_, _>>()
            .map_err(CqlError::answer)
    }
}
