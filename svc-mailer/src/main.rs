//! The mailer: `serve | migrate | openapi | healthcheck`.

use std::process::ExitCode;

use platform::{Main, run_main};

fn main() -> ExitCode {
    let main = Main {
        name: env!("CARGO_PKG_NAME"),
        openapi: svc_mailer::openapi,
    };
    run_main(main, svc_mailer::serve, svc_mailer::migrate)
}
