//! Loops on a clock.

pub mod make_refunds;
pub mod settle_payments;
