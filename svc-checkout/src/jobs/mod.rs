//! Loops on a clock.

pub mod keep_projection_offsets;
pub mod make_refunds;
mod pauses;
pub mod publish_attendees;
pub mod publish_guests;
pub mod refund_cancelled_events;
pub mod settle_payments;
