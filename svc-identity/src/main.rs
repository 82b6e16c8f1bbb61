//! The binary; all else is in the library, where tests can reach it.

use std::process::ExitCode;

use platform::{Main, run_main};

fn main() -> ExitCode {
    let main = Main {
        name: env!("CARGO_PKG_NAME"),
        openapi: svc_identity::openapi,
    };
    run_main(main, svc_identity::serve, svc_identity::migrate)
}
