//! The REST surface: one file per noun.

pub mod attendance;
pub mod attendee;
pub mod attendees;
pub mod beside;
pub mod changes;
pub mod cursor;
pub mod idempotency;
pub mod order_page;
pub mod orders;
pub mod own_ticket;
pub mod payments;
pub mod persons;
pub mod placing;
pub mod quantities;
pub mod refusals;
pub mod shapes;
pub mod tickets;
pub mod webhooks;
