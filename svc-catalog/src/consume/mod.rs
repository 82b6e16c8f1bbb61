//! What the catalog reads into memory: others' records and its own.

pub mod catalog_events;
pub mod checkout_stock;
pub mod last_records;
