//! One file per topic that is read, but for checkout.commands, which is the box office's.

pub mod catalog_events;
pub mod catalog_inventory;
pub mod checkout_stock;
pub mod identity_users;
