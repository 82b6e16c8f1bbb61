//! What a message is and when it may be sent. Pure: no I/O, no clock.

pub mod account_change;
pub mod account_link;
pub mod cause;
pub mod ended_order;
pub mod event;
pub mod notification;
pub mod order;
pub mod recipient;
