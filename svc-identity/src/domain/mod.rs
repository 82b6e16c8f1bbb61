//! The rules: pure, without I/O, clock or wire formats.

pub mod account;
pub mod address_change;
pub mod audit;
pub mod case;
pub mod key_ring;
pub mod locale;
pub mod mail_link;
pub mod password;
pub mod profile;
pub mod roles;
pub mod session;
pub mod user;

pub use platform::person::{NotAllowed, email, line, name, phone};
