//! Where a test lets this process die, to see what it leaves behind.

use std::{env, process};

/// Dies here, as by `kill -9`, if `IDENTITY_CRASH_AT` names this point. Nothing of it is in a release.
pub fn crash_point(name: &str) {
    if cfg!(debug_assertions) && env::var_os("IDENTITY_CRASH_AT").is_some_and(|at| at == name) {
        process::abort();
    }
}
