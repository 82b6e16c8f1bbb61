//! Where a request comes from, as an argument of a handler.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::HeaderName;
use axum::http::request::Parts;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client as the gateway saw it: the gateway adds it behind whatever the client claims, so only the
/// last one counts. `None` for who comes past the gateway and says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub Option<IpAddr>);

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let last = parts.headers.get_all(X_FORWARDED_FOR).iter().next_back();
        let address =
            last.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        Ok(Self(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[tokio::test]
    async fn only_what_the_gateway_added_counts() {
        for (values, expected) in [
            (&[][..], None),
            (&["203.0.113.7"][..], Some("203.0.113.7")),
            (&["10.0.0.1, 203.0.113.7"][..], Some("203.0.113.7")),
            (&["10.0.0.1", "2001:db8::1"][..], Some("2001:db8::1")),
            (&["203.0.113.7, <script>"][..], None),
        ] {
            let mut request = Request::get("/");
            for value in values {
                request = request.header("x-forwarded-for", *value);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let Ok(Client(found)) = Client::from_request_parts(&mut parts, &()).await;
            assert_eq!(
                found,
                expected.map(|text| text.parse().unwrap()),
                "{values:?}"
            );
        }
    }
}
