//! Time alone: a hold that was not paid gives its stock back.

use std::sync::Arc;

use platform::clock::Timestamp;
use uuid::Uuid;

use crate::domain::books::{Desk, EndedOrder};
use crate::domain::command::Fact;
use crate::domain::order::{Order, Status};

/// Ends the hold of an order when it is due; nothing when it is not.
pub fn expire_hold(desk: &mut Desk<'_>, order_id: Uuid, now: Timestamp) -> Option<Fact> {
    let hold = desk.hold(order_id)?.clone();
    if hold.due_at() > now {
        return None;
    }
    let old = &hold.order;
    if let Some(book) = desk.event_mut(old.event_id) {
        book.release(&old.lines);
    }
    desk.count_buyer(old.event_id, old.user_id, &old.lines, -1);
    desk.close_hold(order_id);
    let order = Arc::new(Order {
        version: old.version + 1,
        status: Status::Expired,
        expires_at: None,
        updated_at: old.next_update(now),
        ..(**old).clone()
    });
    if let Some(open_payment) = hold.open_payment() {
        // The provider has not been reached for all this time: a job goes on voiding, and a
        // charge that it finds is settled like a payment after the end.
        desk.put_ended(EndedOrder {
            open_payment: Some(open_payment),
            ..EndedOrder::of(&order)
        });
    }
    Some(Fact::Expired(order))
}
