//! Orders and tickets: projections of the ledger.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use platform::money::{Currency, Money};
use scylla::client::session::Session;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::{DeserializeRow, DeserializeValue, SerializeRow, SerializeValue};
use uuid::Uuid;

use crate::domain::order::{Line, Order, Status, Ticket};

/// Where a page of a buyer's orders or tickets goes on: time in µs and id of its last entry.
pub type Position = (i64, Uuid);

#[derive(SerializeValue, DeserializeValue)]
struct LineRow {
    ticket_type_id: Uuid,
    quantity: i64,
    unit_price: i64,
    line_total: i64,
}

#[derive(SerializeValue, DeserializeValue)]
struct TicketRow {
    ticket_id: Uuid,
    number: i64,
    ticket_type_id: Uuid,
    kind: String,
    price: i64,
}

#[derive(DeserializeRow)]
struct OrderRow {
    order_id: Uuid,
    event_id: Option<Uuid>,
    user_id: Option<Uuid>,
    version: i64,
    status: String,
    currency: Option<String>,
    lines: Option<Vec<LineRow>>,
    tickets: Option<Vec<TicketRow>>,
    total: Option<i64>,
    reserved_at: Option<i64>,
    expires_at: Option<i64>,
    updated_at: i64,
    payment_id: Option<Uuid>,
    fingerprint: Option<Vec<u8>>,
}

#[derive(SerializeRow)]
struct ReservedRow<'a> {
    order_id: Uuid,
    event_id: Uuid,
    user_id: Uuid,
    version: i64,
    status: &'a str,
    currency: &'a str,
    lines: Vec<LineRow>,
    total: i64,
    reserved_at: i64,
    expires_at: Option<i64>,
    updated_at: i64,
    fingerprint: &'a [u8],
    written_at: i64,
}

#[derive(SerializeRow)]
struct PaidRow<'a> {
    order_id: Uuid,
    event_id: Uuid,
    user_id: Uuid,
    version: i64,
    status: &'a str,
    currency: &'a str,
    lines: Vec<LineRow>,
    tickets: Vec<TicketRow>,
    total: i64,
    reserved_at: i64,
    updated_at: i64,
    payment_id: Option<Uuid>,
    written_at: i64,
}

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
                "INSERT INTO orders (order_id, event_id, user_id, version, status, currency, \
                 lines, total, reserved_at, expires_at, updated_at, fingerprint) \
                 VALUES (:order_id, :event_id, :user_id, :version, :status, :currency, :lines, \
                 :total, :reserved_at, :expires_at, :updated_at, :fingerprint) \
                 USING TIMESTAMP :written_at",
            )
            .await?,
            insert_paid: prepare(
                "INSERT INTO orders (order_id, event_id, user_id, version, status, currency, \
                 lines, tickets, total, reserved_at, expires_at, updated_at, payment_id) \
                 VALUES (:order_id, :event_id, :user_id, :version, :status, :currency, :lines, \
                 :tickets, :total, :reserved_at, null, :updated_at, :payment_id) \
                 USING TIMESTAMP :written_at",
            )
            .await?,
            update_ended: prepare(
                "UPDATE orders USING TIMESTAMP ? SET status = ?, version = ?, expires_at = null, \
                 updated_at = ? WHERE order_id = ?",
            )
            .await?,
            update_version: prepare(
                "UPDATE orders USING TIMESTAMP ? SET version = ?, updated_at = ? \
                 WHERE order_id = ?",
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
                 FROM orders WHERE order_id = ?",
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

    /// A new order, and its place among the buyer's orders.
    pub async fn write_reserved(&self, order: &Order) -> Result<(), CqlError> {
        let row = ReservedRow {
            order_id: order.id,
            event_id: order.event_id,
            user_id: order.user_id,
            version: order.version,
            status: order.status.as_str(),
            currency: order.total.currency.as_str(),
            lines: line_rows(&order.lines),
            total: order.total.amount,
            reserved_at: order.reserved_at.as_micros(),
            expires_at: order.expires_at.map(Timestamp::as_micros),
            updated_at: order.updated_at.as_micros(),
            fingerprint: &order.fingerprint,
            written_at: order.updated_at.as_micros(),
        };
        let by_user = (order.user_id, order.reserved_at.as_micros(), order.id);
        futures::try_join!(
            self.session.execute_unpaged(&self.insert_reserved, &row),
            self.session.execute_unpaged(&self.insert_by_user, by_user),
        )?;
        Ok(())
    }

    /// A paid order with its tickets.
    pub async fn write_paid(&self, order: &Order) -> Result<(), CqlError> {
        let at = order.updated_at.as_micros();
        let row = PaidRow {
            order_id: order.id,
            event_id: order.event_id,
            user_id: order.user_id,
            version: order.version,
            status: order.status.as_str(),
            currency: order.total.currency.as_str(),
            lines: line_rows(&order.lines),
            tickets: order
                .tickets
                .iter()
                .map(|ticket| TicketRow {
                    ticket_id: ticket.id,
                    number: ticket.number,
                    ticket_type_id: ticket.ticket_type_id,
                    kind: ticket.kind.to_string(),
                    price: ticket.price.amount,
                })
                .collect(),
            total: order.total.amount,
            reserved_at: order.reserved_at.as_micros(),
            updated_at: at,
            payment_id: order.payment_id,
            written_at: at,
        };
        let tickets = async {
            // One partition, so one batch is one write.
            for some in order.tickets.chunks(TICKETS_PER_BATCH) {
                let mut batch = Batch::new(BatchType::Unlogged);
                let mut values = Vec::with_capacity(some.len());
                for ticket in some {
                    batch.append_statement(self.insert_ticket.clone());
                    values.push((order.user_id, at, ticket.id, order.id));
                }
                self.session.batch(&batch, values).await?;
            }
            Ok(())
        };
        futures::try_join!(
            self.session.execute_unpaged(&self.insert_paid, &row),
            tickets
        )?;
        Ok(())
    }

    /// An order that ended unpaid.
    pub async fn write_ended(&self, order: &Order) -> Result<(), CqlError> {
        let at = order.updated_at.as_micros();
        let values = (at, order.status.as_str(), order.version, at, order.id);
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
            .execute_unpaged(&self.update_version, (at, version, at, order_id))
            .await?;
        Ok(())
    }

    /// The order with this id.
    pub async fn find(&self, order_id: Uuid) -> Result<Option<Order>, CqlError> {
        let row = self
            .session
            .execute_unpaged(&self.select, (order_id,))
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
        let found: Vec<Option<Order>> = futures::stream::iter(ids)
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

/// Rows of one page that are read at once.
const READS_AT_ONCE: usize = 16;
/// Keeps a batch far below the 40 KiB at which the databases refuse it.
const TICKETS_PER_BATCH: usize = 100;

fn line_rows(lines: &[Line]) -> Vec<LineRow> {
    lines
        .iter()
        .map(|line| LineRow {
            ticket_type_id: line.ticket_type_id,
            quantity: line.quantity,
            unit_price: line.unit_price.amount,
            line_total: line.line_total.amount,
        })
        .collect()
}

fn order_of(row: OrderRow) -> Result<Order, CqlError> {
    let missing = |column: &str| CqlError::Answer(format!("order {}: no {column}", row.order_id));
    let currency: Currency = row
        .currency
        .as_deref()
        .ok_or_else(|| missing("currency"))?
        .parse()
        .map_err(CqlError::answer)?;
    let money = |amount: i64| Money { amount, currency };
    Ok(Order {
        id: row.order_id,
        event_id: row.event_id.ok_or_else(|| missing("event_id"))?,
        user_id: row.user_id.ok_or_else(|| missing("user_id"))?,
        version: row.version,
        status: Status::parse(&row.status)
            .ok_or_else(|| CqlError::Answer(format!("order status {:?}", row.status)))?,
        lines: row
            .lines
            .unwrap_or_default()
            .into_iter()
            .map(|line| Line {
                ticket_type_id: line.ticket_type_id,
                quantity: line.quantity,
                unit_price: money(line.unit_price),
                line_total: money(line.line_total),
            })
            .collect(),
        total: money(row.total.ok_or_else(|| missing("total"))?),
        reserved_at: Timestamp::from_micros(row.reserved_at.ok_or_else(|| missing("reserved_at"))?),
        expires_at: row.expires_at.map(Timestamp::from_micros),
        updated_at: Timestamp::from_micros(row.updated_at),
        tickets: row
            .tickets
            .unwrap_or_default()
            .into_iter()
            .map(|ticket| Ticket {
                id: ticket.ticket_id,
                number: ticket.number,
                ticket_type_id: ticket.ticket_type_id,
                kind: Arc::from(ticket.kind),
                price: money(ticket.price),
            })
            .collect(),
        payment_id: row.payment_id,
        // Missing only in a row whose beginning is not written yet, which `find` passes over.
        fingerprint: row
            .fingerprint
            .and_then(|bytes| bytes.try_into().ok())
            .unwrap_or_default(),
    })
}
