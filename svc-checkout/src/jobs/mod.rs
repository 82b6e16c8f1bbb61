//! Loops on a clock.

pub mod make_refunds;
mod pauses;
pub mod refund_cancelled_events;
pub mod settle_payments;
