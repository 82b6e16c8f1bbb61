//! HTTP: extractors and answers that speak problem+json, the server with its limits, the admin port and the API's
//! documentation.

pub mod admin;
pub mod cache;
pub mod client;
pub mod docs;
pub mod header;
pub mod json;
pub mod page;
pub mod problem;
pub mod server;

pub use cache::{IfNoneMatch, Keep};
pub use header::{ETag, IdempotencyKey, IfMatch, Language, RequestId};
pub use json::{Json, NoBody, Path, Query, RawBody};
pub use page::{Page, PageAmong, PageQuery};
pub use problem::{Code, Problem};
