//! A way to the database that can be cut: from then on every statement fails, and of those on the way nobody learns what became
//! of them.

use std::io;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// A proxy of one node. It ends when this is dropped.
pub(crate) struct Link {
    /// Where it listens.
    pub(crate) address: String,
    cut: CancellationToken,
}

impl Link {
    /// To `node`.
    pub(crate) async fn to(node: String) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let cut = CancellationToken::new();
        let here = Self {
            address,
            cut: cut.clone(),
        };
        tokio::spawn(async move {
            let accepting = async {
                while let Ok((client, _)) = listener.accept().await {
                    let (node, cut) = (node.clone(), cut.clone());
                    tokio::spawn(async move {
                        cut.run_until_cancelled(carry(client, node)).await;
                    });
                }
            };
            cut.run_until_cancelled(accepting).await;
        });
        Ok(here)
    }

    /// Closes what is open, and lets nobody in any more.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.cut();
    }
}

/// Until one of both ends it, or a failure does.
async fn carry(mut client: TcpStream, node: String) {
    if let Ok(mut node) = TcpStream::connect(node).await {
        _ = copy_bidirectional(&mut client, &mut node).await;
    }
}
