//! One event or all of them.

use uuid::Uuid;

/// An order's id begins with the last bits of its event's, so many.
const EVENT_BITS: u32 = 40;

/// What is audited.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scope {
    /// `None`: all events.
    pub(super) event: Option<Uuid>,
}

impl Scope {
    pub(super) fn has_event(self, event_id: Uuid) -> bool {
        self.event.is_none_or(|event| event == event_id)
    }

    /// By the id alone, for what names no event.
    pub(super) fn has_order(self, order_id: Uuid) -> bool {
        self.event.is_none_or(|event| {
            let (order_begins, _) = order_id.as_u64_pair();
            let (_, event_ends) = event.as_u64_pair();
            let bits = u64::BITS - EVENT_BITS;
            order_begins >> bits == event_ends << bits >> bits
        })
    }
}
