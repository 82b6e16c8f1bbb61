//! Where a page of a buyer's orders or tickets begins.

use platform::http::{PageQuery, Problem};

use crate::store::orders::{Position, is_possible};

/// The position in the cursor; 422 for one that no page can have ended with.
pub fn position(page: &PageQuery) -> Result<Option<Position>, Problem> {
    match page.cursor()? {
        Some(position) if !is_possible(&position) => Err(Problem::invalid(
            "?cursor",
            "invalid",
            "not a cursor of this list",
        )),
        other => Ok(other),
    }
}
