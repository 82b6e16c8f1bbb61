//! The public interface.

pub mod notification;
