//! svc-catalog: events and what they sell.

use std::process::ExitCode;

use anyhow::Context as _;
use platform::{Main, Start, run_main};
use svc_catalog::config::Config;
use tokio::net::TcpListener;

fn main() -> ExitCode {
    let main = Main {
        name: env!("CARGO_PKG_NAME"),
        openapi: svc_catalog::routes::openapi,
    };
    run_main(main, serve, svc_catalog::migrate)
}

async fn serve(start: Start) -> anyhow::Result<()> {
    let config = start.env.read(Config::from_env)?;
    let addr = config.http.http_addr;
    let listener = TcpListener::bind(addr)
        .await
        .with_context(|| format!("listen on {addr}"))?;
    svc_catalog::run(config, listener, start.metrics, start.shutdown).await
}
