//! svc-checkout: `serve | migrate | openapi | healthcheck`.

use std::process::ExitCode;

use platform::{Main, Start, run_main};
use svc_checkout::config::{Config, MigrateConfig};

/// Orders are many small allocations: with the system's allocator every tenth cycle goes there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run_main(
        Main {
            name: env!("CARGO_PKG_NAME"),
            openapi: svc_checkout::routes::openapi,
        },
        async |start: Start| {
            let config = start.env.read(Config::from_env)?;
            svc_checkout::serve(config, start.metrics, start.shutdown).await
        },
        async |env| svc_checkout::migrate(&env.read(MigrateConfig::from_env)?).await,
    )
}
