//! A client of the whole system, for tests on the real stack and for the programs that show it: `seed`, `buy-one-ticket`
//! and `flash-sale`.
//!
//! Everything returns [`anyhow::Result`]: a test returns it too, and its failure is the sentence that says which call
//! did not answer as it should, and with what.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use e2e::{Role, Stack, TicketType, orders};
//!
//! let stack = Stack::from_env();
//! let organizer = stack.user(&[Role::Organizer]).await?;
//! let event = stack.published_event(&organizer, &[TicketType::general(10)]).await?;
//! let buyer = stack.customer().await?;
//! let order = orders::place(stack.gateway(), &buyer, event.id, &[(event.ticket_types[0], 2)])
//!     .send()
//!     .await?
//!     .expect(201)?;
//! # Ok(()) }
//! ```

pub mod api;
pub mod asyncapi;
pub mod control;
pub mod events;
pub mod flash_sale;
pub mod guests;
pub mod mailbox;
pub mod orders;
pub mod records;
pub mod stack;
pub mod users;
pub mod vouchers;
pub mod wait;

pub use api::{Answer, Api, Call};
pub use events::{PublishedEvent, TicketType};
pub use mailbox::{Mail, Mailbox};
pub use platform::auth::Role;
pub use records::{Reader, SeenRecord};
pub use stack::{Service, Stack};
pub use users::{PASSWORD, User};
pub use wait::eventually;
