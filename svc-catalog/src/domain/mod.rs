//! The rules of the catalog. Pure: no I/O, and the time is an argument.

pub mod event;
pub mod image_url;
pub mod index;
pub mod listing;
pub mod rule;
pub mod stock;
pub mod ticket_type;
pub mod time_zone;
pub mod voucher;
pub mod words;
