//! svc-identity on a real stack. `make test` starts one and names it to the tests.

mod abandoned_claims;
mod address_crashes;
mod admin;
mod alike;
mod attacks;
mod audit;
mod bad_input;
mod case_limits;
mod cases;
mod coverage;
mod crashes;
mod customers;
mod email_change;
mod erasure;
mod export;
mod first_admin;
mod forgotten;
mod hash_cost;
mod keys;
mod limits;
mod mail_links;
mod move_crashes;
mod old_cases;
mod own;
mod passwords;
mod profile;
mod registration;
mod registration_crashes;
mod roles;
mod sessions;
mod withdrawn_keys;

use e2e::users::fresh_email;
use e2e::{Answer, Stack, User};
use serde_json::{Value, json};

/// A body that registers somebody new.
fn registration() -> Value {
    json!({"email": fresh_email("identity"), "password": e2e::PASSWORD, "name": "Test"})
}

/// What the user sees of himself.
async fn me(stack: &Stack, user: &User) -> anyhow::Result<Answer> {
    let call = stack.identity().get("/v1/users/me").by(user);
    call.send().await
}
