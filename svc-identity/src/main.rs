//! The binary; all else is in the library, where tests can reach it.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use platform::{Main, run_main_with};

#[derive(Subcommand)]
enum Command {
    /// Make the next signing key. It is published at once and signs two minutes later; no token becomes invalid by it
    RotateKeys {
        /// For a key that has leaked: the next one signs at once, and all others are taken away. Every access token that is out
        /// ends within 75 seconds
        #[arg(long)]
        at_once: bool,
    },
}

/// The C library's keeps the 19 MiB of each password in heaps that it does not give back: 390 MiB after a flood of sign-ins,
/// of which two at a time were looked at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let main = Main {
        name: env!("CARGO_PKG_NAME"),
        openapi: svc_identity::openapi,
    };
    run_main_with(
        main,
        svc_identity::serve,
        svc_identity::migrate,
        async |command, env| match command {
            Command::RotateKeys { at_once } => {
                let signs_from = svc_identity::rotate_keys(env, at_once).await?.to_rfc3339();
                let mut out = std::io::stdout().lock();
                writeln!(out, "the next key is published and signs from {signs_from}")?;
                if at_once {
                    writeln!(out, "the keys that there were are gone")?;
                }
                Ok(ExitCode::SUCCESS)
            }
        },
    )
}
