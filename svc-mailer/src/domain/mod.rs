//! What a message is and when it may be sent. Pure: no I/O, no clock.

pub mod account_link;
pub mod ended_order;
pub mod event;
pub mod notification;
pub mod order;
pub mod password_change;
pub mod recipient;
