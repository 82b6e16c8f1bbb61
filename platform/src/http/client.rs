//! Where a request comes from. What a client claims about it counts for nothing.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderName;
use axum::http::request::Parts;
use ipnet::IpNet;

use super::problem::Problem;
use crate::config::Setting;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Longest list of networks.
const MAX_NETWORKS: usize = 32;

/// Who opened the connection: a client, or a proxy in front of the service. The server adds it to every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The proxies whose word about their clients is believed (`TRUSTED_PROXIES`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl Setting for TrustedProxies {
    const EXPECTED: &'static str =
        "the networks of the gateway, such as 10.0.0.0/8 with commas between them, or none";

    fn parse(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self(Arc::default()));
        }
        let networks = text.split(',').map(|text| {
            let text = text.trim();
            let network = text.parse().ok();
            network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        });
        let networks: Option<Arc<[IpNet]>> = networks.collect();
        networks
            .filter(|networks| networks.len() <= MAX_NETWORKS)
            .map(Self)
    }
}

impl TrustedProxies {
    fn trust(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&peer))
    }
}

/// The client's address, as an argument of a handler: that of the connection, or what a trusted proxy says. A proxy adds
/// it behind whatever the client claims, so only the last one counts.
///
/// The handler's state must give the proxies: `impl FromRef<App> for TrustedProxies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub IpAddr);

impl<S> FromRequestParts<S> for Client
where
    S: Send + Sync,
    TrustedProxies: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Some(Peer(peer)) = parts.extensions.get().copied() else {
            return Err(Problem::internal(anyhow::anyhow!(
                "the server does not say who is connected"
            )));
        };
        // An IPv4 address in the clothes of IPv6 is the same client.
        let peer = peer.to_canonical();
        if !TrustedProxies::from_ref(state).trust(peer) {
            return Ok(Self(peer));
        }
        let last = parts.headers.get_all(X_FORWARDED_FOR).iter().next_back();
        let said = last.and_then(|value| {
            let text = value.to_str().ok()?.rsplit(',').next()?;
            text.trim().parse::<IpAddr>().ok()
        });
        Ok(Self(said.map_or(peer, |said| said.to_canonical())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    async fn client(peer: &str, forwarded_for: &[&str]) -> String {
        let trusted = TrustedProxies::parse("10.0.0.0/8, 192.0.2.1, fd00::/8").unwrap();
        let mut request = Request::get("/").extension(Peer(peer.parse().unwrap()));
        for value in forwarded_for {
            request = request.header(X_FORWARDED_FOR, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let Client(found) = Client::from_request_parts(&mut parts, &trusted)
            .await
            .unwrap();
        found.to_string()
    }

    #[tokio::test]
    async fn only_what_a_trusted_proxy_added_counts() {
        for (peer, forwarded_for, expected) in [
            ("10.1.2.3", &["203.0.113.7"][..], "203.0.113.7"),
            ("192.0.2.1", &["203.0.113.7"], "203.0.113.7"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
            ("::ffff:10.1.2.3", &["::ffff:203.0.113.7"], "203.0.113.7"),
            // What the client claims comes before what the proxy knows.
            ("10.1.2.3", &["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
            ("10.1.2.3", &["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
            ("10.1.2.3", &["203.0.113.7, <script>"], "10.1.2.3"),
            ("10.1.2.3", &[], "10.1.2.3"),
            // Anyone can say anything.
            ("192.0.2.2", &["203.0.113.7"], "192.0.2.2"),
            ("2001:db8::2", &["203.0.113.7"], "2001:db8::2"),
        ] {
            let found = client(peer, forwarded_for).await;
            assert_eq!(found, expected, "{peer} {forwarded_for:?}");
        }
    }

    #[test]
    fn proxies_are_networks_or_addresses() {
        for wrong in ["gateway", "10.0.0.0/33", "10.0.0.1,", "none, 10.0.0.1"] {
            assert_eq!(TrustedProxies::parse(wrong), None, "{wrong}");
        }
        let many = ["10.0.0.1"; MAX_NETWORKS + 1].join(",");
        assert_eq!(TrustedProxies::parse(&many), None);
        let nobody = TrustedProxies::parse("none").unwrap();
        assert!(!nobody.trust("127.0.0.1".parse().unwrap()));
    }
}
