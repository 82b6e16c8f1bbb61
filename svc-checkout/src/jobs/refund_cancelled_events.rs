//! Takes back the paid orders of cancelled events.
//!
//! Whether any is left the box office knows: its book of the event counts the tickets that are sold or were released, and
//! a paid order has at least one. So the walk over the rows is repeated until the book says that none is. That is enough for rows that lag
//! behind the ledger, however long: an order whose row is not paid yet keeps the count up, and so the event on the list.
//! After the cancellation no order of the event becomes paid, so the count only falls.
//!
//! Nothing else is kept of the progress. A new process, or the next owner of the partition, reads the same book and walks
//! from the beginning; what is refunded by then is passed over by its row, or by the box office, which knows the command,
//! and for good the order.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use platform::clock::Timestamp;
use platform::cql::CqlError;
use platform::ids::derived_id;
use tokio_util::sync::CancellationToken;

use crate::box_office::client::{BoxOffice, SubmitError};
use crate::box_office::worklist::{CancelledEvent, Worklist};
use crate::domain::command::{Command, OrderRow, RefundOrder, Refusal};
use crate::domain::order::{Fingerprint, Order, Status};
use crate::store::orders::{OrderStore, Walk};

/// Between two looks at the list.
const EVERY: Duration = Duration::from_secs(1);
/// After walks that refunded nothing, although something is left: rows that lag, or a box office that does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Rows that are read at once. The largest order has 2,000 tickets, some 200 kB.
const PAGE_ROWS: i32 = 100;
/// Commands that wait for their answer: few beside the 2,048 that may, so that buyers of other events find room.
const REFUNDS_AT_ONCE: usize = 64;

/// Refunds the orders of cancelled events.
pub struct RefundCancelledEvents {
    /// Which events.
    pub worklist: Arc<Worklist>,
    /// Their orders.
    pub orders: Arc<OrderStore>,
    /// Decides.
    pub box_office: Arc<BoxOffice>,
}

impl RefundCancelledEvents {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause = EVERY;
        let rounds = async {
            loop {
                tokio::time::sleep(pause).await;
                let events = self.worklist.cancelled_events();
                let mut refunded = 0;
                for event in &events {
                    refunded += self.walk(event).await;
                }
                pause = if events.is_empty() || refunded > 0 {
                    EVERY
                } else {
                    (pause * 2).min(LONGEST_PAUSE)
                };
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    /// One walk over the event's orders, as long as there are paid ones; returns how many were refunded.
    async fn walk(&self, event: &CancelledEvent) -> usize {
        let event_id = event.event_id;
        let mut walk = Walk::over(event_id);
        let mut refunded = 0;
        while self.worklist.has_cancelled_event(event_id) {
            match self.refund_page(event, &mut walk).await {
                Ok(Some(of_page)) => refunded += of_page,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%event_id, %error, "orders of a cancelled event not read");
                    break;
                }
            }
        }
        metrics::counter!("checkout_cancelled_event_refunds_total").increment(refunded as u64);
        let left = self.worklist.has_cancelled_event(event_id);
        if left && refunded == 0 {
            // Rows are late now and then. When this does not end, a person must look: rows may be lost.
            tracing::warn!(%event_id, "a cancelled event has paid orders, and no row led to one");
        } else {
            tracing::info!(%event_id, refunded, left, "orders of a cancelled event");
        }
        refunded
    }

    async fn refund_page(
        &self,
        event: &CancelledEvent,
        walk: &mut Walk,
    ) -> Result<Option<usize>, CqlError> {
        let Some(orders) = self.orders.walk_on(walk, PAGE_ROWS).await? else {
            return Ok(None);
        };
        let paid = orders
            .into_iter()
            .filter(|order| order.status == Status::Paid);
        let refunded = stream::iter(paid)
            .map(|order| self.refund(event, order))
            .buffer_unordered(REFUNDS_AT_ONCE)
            .filter(|refunded| std::future::ready(*refunded))
            .count();
        Ok(Some(refunded.await))
    }

    /// Asks for one order. What does not come through now is met by the next walk.
    async fn refund(&self, event: &CancelledEvent, order: Order) -> bool {
        let order_id = order.id;
        let command = Command::RefundOrder(RefundOrder {
            // The same at every walk and at every owner: one effect.
            command_id: derived_id(order_id, &["event-cancelled"]),
            event_id: event.event_id,
            order_id,
            user_id: event.organizer_id,
            row: OrderRow::from(order),
            fingerprint: Fingerprint::default(),
            // A job's wish is never too late.
            not_after: Timestamp::MAX,
        });
        match self.box_office.submit(&command).await {
            Ok(_) => true,
            // By somebody else; its row was read before it showed that.
            Err(SubmitError::Refused(Refusal::AlreadyRefunded)) => true,
            Err(error) => {
                tracing::debug!(%order_id, %error, "not refunded yet");
                false
            }
        }
    }
}
