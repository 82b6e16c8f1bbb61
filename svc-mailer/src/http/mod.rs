//! The public interface.

pub mod notification;

use platform::cql::CqlError;
use platform::http::Problem;

/// A database that is away passes; rows that cannot be read are our mistake.
fn store_failed(error: CqlError) -> Problem {
    match error {
        CqlError::Connect(_) | CqlError::Execute(_) => Problem::unavailable(error),
        CqlError::Prepare { .. } | CqlError::Answer(_) | CqlError::MigrationChanged(_) => {
            Problem::internal(error)
        }
    }
}
