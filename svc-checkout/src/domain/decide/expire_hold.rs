//! Time alone: a hold that was not paid gives its stock back.

use platform::clock::Timestamp;
use uuid::Uuid;

use super::end_unpaid;
use crate::domain::books::Desk;
use crate::domain::ended_order::EndedOrder;
use crate::domain::fact::Fact;
use crate::domain::order::Status;

/// Ends the hold of an order when it is due; nothing when it is not.
pub fn expire_hold(desk: &mut Desk<'_>, order_id: Uuid, now: Timestamp) -> Option<Fact> {
    let hold = desk.hold(order_id)?.clone();
    if hold.due_at() > now {
        return None;
    }
    let order = end_unpaid(desk, &hold.order, Status::Expired, now);
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
