//! What caches may keep of the answers that are for everyone.

use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::Response;
use platform::http::Keep;

/// What everyone gets may be given away for this long. Together with the second within which an instance hears of a change
/// that another one made, nobody sees anything older than two seconds.
pub(super) const FOR_EVERYONE: Keep = Keep::Anyone(Duration::from_secs(1));

/// The answer, for requests without a token if it was made for one without.
pub(super) fn by_caller(mut response: Response) -> Response {
    let vary = HeaderValue::from_static("authorization");
    response.headers_mut().insert(header::VARY, vary);
    response
}
