//! The two rows of an order; then its slot is free.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bench::meter::Meter;
use futures::channel::mpsc::UnboundedReceiver;
use futures::{StreamExt as _, stream};
use platform::config::CqlConfig;
use platform::cql::{self, CqlError};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::{SerializeRow, SerializeValue};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::commands::Commands;
use crate::order::{CURRENCY, Order, PRICE};

/// Orders whose rows are written at once.
const WRITES_AT_ONCE: usize = 512;

#[derive(SerializeValue)]
struct LineRow {
    ticket_type_id: Uuid,
    quantity: i64,
    unit_price: i64,
    line_total: i64,
}

#[derive(SerializeRow)]
struct OrderRow<'a> {
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
                "INSERT INTO orders (order_id, event_id, user_id, version, status, currency, \
                 lines, total, reserved_at, expires_at, updated_at, fingerprint) \
                 VALUES (:order_id, :event_id, :user_id, :version, :status, :currency, :lines, \
                 :total, :reserved_at, :expires_at, :updated_at, :fingerprint) \
                 USING TIMESTAMP :written_at",
            )
            .await?,
            insert_by_user: cql::prepare(
                &session,
                "INSERT INTO orders_by_user (user_id, reserved_at, order_id) VALUES (?, ?, ?)",
            )
            .await?,
            session,
        })
    }

    /// Writes what is committed, across batches, and starts the next order of each slot. The token tells that
    /// the run has ended and all `slots` are free.
    pub(crate) fn follow(
        self: Arc<Self>,
        committed: UnboundedReceiver<Vec<Order>>,
        commands: Arc<Commands>,
        meter: Arc<Meter>,
        slots: usize,
    ) -> (CancellationToken, JoinHandle<()>) {
        let all_free = CancellationToken::new();
        let (told, busy) = (all_free.clone(), AtomicUsize::new(slots));
        let writing = tokio::spawn(async move {
            committed
                .flat_map(stream::iter)
                .take_until(all_free.clone().cancelled_owned())
                .for_each_concurrent(WRITES_AT_ONCE, async |order| {
                    match self.write(&order).await {
                        Ok(()) => meter.answered(order.began.elapsed()),
                        Err(error) => meter.failed(error.to_string()),
                    }
                    if !meter.has_ended() {
                        if let Err(error) = commands.send(Order::new(order.user_id)) {
                            meter.failed(error.to_string());
                        }
                    } else if busy.fetch_sub(1, Ordering::Relaxed) == 1 {
                        all_free.cancel();
                    }
                })
                .await;
        });
        (told, writing)
    }

    async fn write(&self, order: &Order) -> Result<(), CqlError> {
        let at = order.reserved_at.as_micros();
        let row = OrderRow {
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
        };
        futures::try_join!(
            self.session.execute_unpaged(&self.insert_order, &row),
            self.session
                .execute_unpaged(&self.insert_by_user, (order.user_id, at, order.id)),
        )?;
        Ok(())
    }
}
