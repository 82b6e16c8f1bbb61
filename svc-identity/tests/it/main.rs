//! svc-identity on a real stack. `make test` starts one and names it to the tests.

mod admin;
mod audit;
mod bad_input;
mod coverage;
mod crashes;
mod erasure;
mod first_admin;
mod hash_cost;
mod keys;
mod limits;
mod mail_links;
mod own;
mod passwords;
mod profile;
mod registration;
mod roles;
mod sessions;

use e2e::users::fresh_email;
use serde_json::{Value, json};

/// A body that registers somebody new.
fn registration() -> Value {
    json!({"email": fresh_email("identity"), "password": e2e::PASSWORD, "name": "Test"})
}
