//! What the catalog does by itself.

pub mod publish_owed;
pub mod publish_untold;
pub mod reconcile_topics;
