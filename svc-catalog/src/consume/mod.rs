//! What the catalog reads from others.

pub mod checkout_stock;
