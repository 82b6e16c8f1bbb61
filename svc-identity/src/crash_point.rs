//! Where a test lets this process die, to see what it leaves behind.

use std::{env, process};

use uuid::Uuid;

/// Dies here, as by `kill -9`, if `IDENTITY_CRASH_AT` names this point. Nothing of it is in a release.
pub fn crash_point(name: &str) {
    if cfg!(debug_assertions) && env::var_os("IDENTITY_CRASH_AT").is_some_and(|at| at == name) {
        process::abort();
    }
}

/// The same for what sweepers do as well, for whomever: dies if `IDENTITY_CRASH_AT` names this point, a space and the user.
pub fn crash_point_of(name: &str, user_id: Uuid) {
    let is_here = |at: std::ffi::OsString| at == *format!("{name} {user_id}");
    if cfg!(debug_assertions) && env::var_os("IDENTITY_CRASH_AT").is_some_and(is_here) {
        process::abort();
    }
}
