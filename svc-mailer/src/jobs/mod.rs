//! Timed loops.

pub mod send_due_notifications;
