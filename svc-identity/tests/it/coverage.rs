//! Every operation of the API document without credentials and with wrong ones. An operation that is new fails here
//! until somebody has said who may call it.

use e2e::{Call, Role, Stack};
use platform::ids::new_id;

/// What anyone may call.
const OPEN: [&str; 9] = [
    "GET /.well-known/jwks.json",
    "GET /.well-known/openid-configuration",
    "POST /v1/email-changes/confirm",
    "POST /v1/email-verifications/confirm",
    "POST /v1/password-resets",
    "POST /v1/password-resets/confirm",
    "POST /v1/sessions",
    "POST /v1/sessions/refresh",
    "POST /v1/users",
];
/// What those who are signed in may call, each for himself.
const SIGNED_IN: [&str; 13] = [
    "DELETE /v1/sessions/current",
    "DELETE /v1/users/me",
    "GET /v1/support/cases",
    "GET /v1/support/cases/{id}",
    "GET /v1/users/me",
    "GET /v1/users/me/export",
    "PATCH /v1/support/cases/{id}",
    "PATCH /v1/users/me",
    "POST /v1/email-verifications",
    "POST /v1/support/cases",
    "POST /v1/support/cases/{id}/messages",
    "POST /v1/users/me/email",
    "POST /v1/users/me/password",
];
/// What support may call, and admins.
const DESK: [&str; 1] = ["GET /v1/support/customers/{user_id}"];
/// What admins may call.
const ADMIN: [&str; 6] = [
    "DELETE /v1/users/{id}",
    "GET /v1/audit",
    "GET /v1/users",
    "GET /v1/users/{id}",
    "PATCH /v1/users/{id}",
    "PUT /v1/users/{id}/roles",
];

/// A call of an operation, with an id that nobody has, and without a body.
fn call(stack: &Stack, operation: &str) -> Call {
    let (method, path) = operation.split_once(' ').expect("method and path");
    let id = new_id().to_string();
    let path = path.replace("{id}", &id).replace("{user_id}", &id);
    stack
        .identity()
        .call(method.parse().expect("a method"), path)
}

#[tokio::test]
async fn every_operation_is_open_or_closed() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let openapi = stack
        .identity()
        .get("/api-docs/openapi.json")
        .send()
        .await?
        .expect(200)?;
    let paths = openapi["paths"].as_object().into_iter().flatten();
    let mut operations: Vec<String> = paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, _)| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    operations.sort();
    let mut known: Vec<&str> = [OPEN.as_slice(), &SIGNED_IN, &DESK, &ADMIN].concat();
    known.sort_unstable();
    assert_eq!(operations, known);
    Ok(())
}

#[tokio::test]
async fn closed_operations_want_a_token_before_anything_else() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    for operation in SIGNED_IN.into_iter().chain(DESK).chain(ADMIN) {
        let answer = call(&stack, operation).send().await?;
        assert!(answer.header("www-authenticate").is_some(), "{answer}");
        answer.expect_problem(401, "unauthenticated")?;
        for credentials in ["Bearer garbage", "Bearer ", "Basic YTpi", "garbage"] {
            let answer = call(&stack, operation)
                .header("authorization", credentials)
                .send()
                .await?;
            answer.expect_problem(401, "unauthenticated")?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_admins_may_call_nobody_else_may() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    for role in [Role::Customer, Role::Organizer, Role::Gate, Role::Support] {
        let user = stack.user(&[role]).await?;
        let for_desk = DESK.into_iter().filter(|_| role != Role::Support);
        for operation in ADMIN.into_iter().chain(for_desk) {
            call(&stack, operation)
                .by(&user)
                .send()
                .await?
                .expect_problem(403, "forbidden")?;
        }
    }
    Ok(())
}
