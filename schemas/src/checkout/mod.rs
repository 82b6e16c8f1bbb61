//! Records of svc-checkout, a file per topic.

mod attendees;
mod commands;
mod guests;
mod orders;
mod payments;
mod replies;
mod state;
mod stock;

pub use attendees::*;
pub use commands::*;
pub use guests::*;
pub use orders::*;
pub use payments::*;
pub use replies::*;
pub use state::*;
pub use stock::*;
