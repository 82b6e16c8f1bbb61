//! One connection per client, with as little between the socket and the clock as HTTP allows.

use anyhow::{Context as _, ensure};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

/// Host and port.
pub fn authority(url: &str) -> anyhow::Result<String> {
    let parsed = Url::parse(url).with_context(|| format!("{url} is no URL"))?;
    ensure!(
        parsed.scheme() == "http",
        "{url}: the bench speaks plain HTTP"
    );
    let host = parsed
        .host_str()
        .with_context(|| format!("{url} names no host"))?;
    Ok(format!(
        "{host}:{}",
        parsed.port_or_known_default().unwrap_or(80)
    ))
}

/// What requests are sent into.
pub type Connection = SendRequest<Full<Bytes>>;

/// Opens one.
pub async fn connect(authority: &str) -> anyhow::Result<Connection> {
    let stream = TcpStream::connect(authority)
        .await
        .with_context(|| format!("connect to {authority}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // How a connection ends is told to the request that is on it.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_have_a_port() -> anyhow::Result<()> {
        assert_eq!(authority("http://localhost:8080")?, "localhost:8080");
        assert_eq!(authority("http://127.0.0.1/")?, "127.0.0.1:80");
        assert!(authority("https://example.com").is_err());
        Ok(())
    }
}
