//! The two rows of an order; then its slot is free.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bench::meter::Meter;
use futures::channel::mpsc::UnboundedReceiver;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use platform::config::CqlConfig;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::{SerializeRow, SerializeValue};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::commands::Commands;
use crate::order::{CURRENCY, Order, PRICE};

/// Requests to the database on their way at once.
const WRITES_AT_ONCE: usize = 64;
/// Keeps a batch below the 40 KiB at which the databases begin to refuse it.
const ORDERS_PER_BATCH: usize = 30;
/// Keeps a batch far below that.
const PLACES_PER_BATCH: usize = 160;
/// Of more partitions in a request Cassandra warns, and of more than 5 KiB in one of several.
const PARTITIONS_PER_REQUEST: usize = 10;
const ORDERS_PER_REQUEST: usize = 10;
const PLACES_PER_REQUEST: usize = 50;
/// Partitions of the places of a year.
const PLACE_BUCKETS: u8 = 64;
/// Batches whose rows are written at once.
const BATCHES_AT_ONCE: usize = 4;

#[derive(SerializeValue)]
struct LineRow {
    ticket_type_id: Uuid,
    quantity: i64,
    unit_price: i64,
    line_total: i64,
}

#[derive(SerializeRow)]
struct OrderRow<'a> {
    bucket: i64,
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

/// Writes rows.
pub(crate) struct Rows {
    session: Arc<Session>,
    insert_order: PreparedStatement,
    insert_by_user: PreparedStatement,
}

impl Rows {
    /// Prepares the statements.
    pub(crate) async fn new(config: &CqlConfig) -> Result<Self, CqlError> {
        let session = cql::connect(config).await?;
        Ok(Self {
            insert_order: cql::prepare(
                &session,
                "INSERT INTO orders (bucket, order_id, event_id, user_id, version, status, currency, \
                 lines, total, reserved_at, expires_at, updated_at, fingerprint) \
                 VALUES (:bucket, :order_id, :event_id, :user_id, :version, :status, :currency, :lines, \
                 :total, :reserved_at, :expires_at, :updated_at, :fingerprint) \
                 USING TIMESTAMP :written_at",
            )
            .await?,
            insert_by_user: cql::prepare(
                &session,
                "INSERT INTO orders_by_user (year, bucket, user_id, reserved_at, order_id) \
                 VALUES (?, ?, ?, ?, ?)",
            )
            .await?,
            session,
        })
    }

    /// Writes what is committed with `rows`, where there are any, across batches, and starts the next order of each slot. The token tells that
    /// the run has ended and all `slots` are free.
    pub(crate) fn follow(
        rows: Option<Self>,
        committed: UnboundedReceiver<Vec<Order>>,
        commands: Arc<Commands>,
        meter: Arc<Meter>,
        slots: usize,
    ) -> (CancellationToken, JoinHandle<()>) {
        let all_free = CancellationToken::new();
        let (told, busy) = (all_free.clone(), AtomicUsize::new(slots));
        let writing = tokio::spawn(async move {
            committed
                .take_until(all_free.clone().cancelled_owned())
                .for_each_concurrent(BATCHES_AT_ONCE, async |orders| {
                    let written = match &rows {
                        Some(rows) => rows.write(&orders).await,
                        None => Ok(()),
                    };
                    for order in orders {
                        match &written {
                            Ok(()) => meter.answered(order.began.elapsed()),
                            Err(error) => meter.failed(error.to_string()),
                        }
                        if !meter.has_ended() {
                            let next = Order::new(order.show, order.user_id);
                            if let Err(error) = commands.send(next) {
                                meter.failed(error.to_string());
                            }
                        } else if busy.fetch_sub(1, Ordering::Relaxed) == 1 {
                            all_free.cancel();
                        }
                    }
                })
                .await;
        });
        (told, writing)
    }

    async fn write(&self, orders: &[Order]) -> Result<(), CqlError> {
        // Rows of one partition are one write, and some partitions are one request.
        let mut rows: HashMap<i64, Vec<OrderRow>> = HashMap::new();
        let mut places: HashMap<i8, Vec<Place>> = HashMap::new();
        for order in orders {
            rows.entry(order.bucket()).or_default().push(row(order));
            let place = place(order);
            places.entry(place.1).or_default().push(place);
        }
        let mut writes = Vec::new();
        for some in requests(rows, ORDERS_PER_BATCH, ORDERS_PER_REQUEST) {
            writes.push(self.write_rows(&self.insert_order, some).boxed());
        }
        for some in requests(places, PLACES_PER_BATCH, PLACES_PER_REQUEST) {
            writes.push(self.write_rows(&self.insert_by_user, some).boxed());
        }
        stream::iter(writes)
            .buffer_unordered(WRITES_AT_ONCE)
            .try_collect()
            .await
    }

    /// Some rows of one statement, in one request.
    async fn write_rows<R: SerializeRow>(
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
}

/// Year, bucket, buyer, time, order.
type Place = (i32, i8, Uuid, i64, Uuid);

fn place(order: &Order) -> Place {
    let [.., last] = order.user_id.into_bytes();
    let bucket = (last % PLACE_BUCKETS).cast_signed();
    let at = order.reserved_at;
    (at.year(), bucket, order.user_id, at.as_micros(), order.id)
}

/// Partitions put together: each up to `most` rows in a request of its own, some that are smaller up to `shared` rows.
fn requests<K, R>(partitions: HashMap<K, Vec<R>>, most: usize, shared: usize) -> Vec<Vec<R>> {
    let mut requests = Vec::new();
    let (mut open, mut in_open) = (Vec::new(), 0);
    for mut rows in partitions.into_values() {
        while rows.len() > most {
            requests.push(rows.split_off(rows.len() - most));
        }
        if open.len() + rows.len() > shared || in_open == PARTITIONS_PER_REQUEST {
            requests.push(std::mem::take(&mut open));
            in_open = 0;
        }
        open.append(&mut rows);
        in_open += 1;
    }
    requests.push(open);
    requests.retain(|rows| !rows.is_empty());
    requests
}

fn row(order: &Order) -> OrderRow<'_> {
    let at = order.reserved_at.as_micros();
    OrderRow {
        bucket: order.bucket(),
        order_id: order.id,
        event_id: order.command_id,
        user_id: order.user_id,
        version: 1,
        status: "reserved",
        currency: CURRENCY,
        lines: vec![LineRow {
            ticket_type_id: order.command_id,
            quantity: 1,
            unit_price: PRICE,
            line_total: PRICE,
        }],
        total: PRICE,
        reserved_at: at,
        expires_at: Some(order.expires_at()),
        updated_at: at,
        fingerprint: &order.fingerprint,
        written_at: at,
    }
}
