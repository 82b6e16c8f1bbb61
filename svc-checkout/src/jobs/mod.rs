//! Loops on a clock.

pub mod make_refunds;
pub mod refund_cancelled_events;
pub mod settle_payments;
