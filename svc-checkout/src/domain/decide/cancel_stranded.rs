//! The event is called off: reserved → cancelled. Who is paying comes to an end first, since money may be on its way.

use std::sync::Arc;

use platform::clock::Timestamp;
use uuid::Uuid;

use super::end_unpaid;
use crate::domain::books::Desk;
use crate::domain::fact::{EndReason, Fact};
use crate::domain::order::Status;

/// Cancels orders that nobody is paying of events that were cancelled, at most `limit`.
///
/// Called in every batch, after the inventory and before time and commands: what a batch leaves the next one finds, and
/// so does a new owner, since it follows from the books alone.
pub fn cancel_stranded(desk: &mut Desk<'_>, limit: usize, now: Timestamp) -> Vec<Fact> {
    let stranded = desk.stranded(limit);
    let cancelled = stranded.into_iter();
    cancelled
        .filter_map(|order_id| cancel_with_event(desk, order_id, now))
        .collect()
}

/// Cancels one order of a cancelled event; nothing while it is being paid.
pub(super) fn cancel_with_event(
    desk: &mut Desk<'_>,
    order_id: Uuid,
    now: Timestamp,
) -> Option<Fact> {
    let hold = desk.hold(order_id).filter(|hold| !hold.paying)?;
    let order = Arc::clone(&hold.order);
    let order = end_unpaid(desk, &order, Status::Cancelled, now);
    Some(Fact::Cancelled {
        order,
        reason: Some(EndReason::EventCancelled),
        payment_id: None,
    })
}
