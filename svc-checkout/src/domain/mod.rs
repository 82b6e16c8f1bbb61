//! What may happen to an order and to stock: pure rules.
//!
//! Nothing here reads a clock, waits or fails for outside reasons. [`decide`] looks at the books
//! of one partition through a [`Desk`](books::Desk), which keeps its changes apart, so that a
//! batch is taken over as a whole or dropped as a whole.

pub mod attendee;
pub mod books;
pub mod command;
pub mod decide;
pub mod ended_order;
pub mod event_book;
pub mod fact;
pub mod guest;
pub mod order;
pub mod state_machine;
pub mod voucher;
