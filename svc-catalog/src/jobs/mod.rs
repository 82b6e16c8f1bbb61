//! What the catalog does by the clock.

pub mod publish_owed;
