//! Every operation of the API document without credentials and with wrong ones. An operation that is new fails here
//! until somebody has said who may call it.

use e2e::{Call, Role, Stack};
use platform::ids::new_id;

/// What anyone may call.
const OPEN: [&str; 5] = [
    "GET /v1/events",
    "GET /v1/events/{id}",
    "GET /v1/events/{id}/availability",
    "GET /v1/events/{id}/availability/stream",
    "GET /v1/events/{id}/ticket-types",
];
/// What organizers and admins may call.
const ORGANIZER: [&str; 14] = [
    "DELETE /v1/events/{id}",
    "DELETE /v1/events/{id}/ticket-types/{ticket_type_id}",
    "DELETE /v1/events/{id}/vouchers/{code}",
    "GET /v1/events/{id}/vouchers",
    "GET /v1/organizers/me/events",
    "POST /v1/events",
    "POST /v1/events/{id}/archive",
    "POST /v1/events/{id}/cancel",
    "POST /v1/events/{id}/publish",
    "POST /v1/events/{id}/ticket-types",
    "POST /v1/events/{id}/vouchers",
    "PUT /v1/events/{id}",
    "PUT /v1/events/{id}/ticket-types/{ticket_type_id}",
    "PUT /v1/events/{id}/vouchers/{code}",
];

/// A call of an operation, with an id that nothing has, and without a body.
fn call(stack: &Stack, operation: &str) -> Call {
    let (method, path) = operation.split_once(' ').expect("method and path");
    let path = path
        .replace("{id}", &new_id().to_string())
        .replace("{ticket_type_id}", &new_id().to_string())
        .replace("{code}", "EARLY");
    stack
        .catalog()
        .call(method.parse().expect("a method"), path)
}

#[tokio::test]
async fn every_operation_is_open_or_closed() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let openapi = stack
        .catalog()
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
    let mut known = [OPEN.as_slice(), &ORGANIZER].concat();
    known.sort_unstable();
    assert_eq!(operations, known);
    Ok(())
}

#[tokio::test]
async fn open_operations_still_refuse_a_wrong_token() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    for operation in OPEN {
        let answer = call(&stack, operation).send().await?;
        assert!(matches!(answer.status, 200 | 404), "{answer}");
    }
    for operation in &OPEN[1..] {
        let answer = call(&stack, operation).token("garbage").send().await?;
        answer.expect_problem(401, "unauthenticated")?;
    }
    Ok(())
}

#[tokio::test]
async fn closed_operations_want_a_token_before_anything_else() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    for operation in ORGANIZER {
        let answer = call(&stack, operation).send().await?;
        assert!(answer.header("www-authenticate").is_some(), "{answer}");
        answer.expect_problem(401, "unauthenticated")?;
        for credentials in ["Bearer garbage", "Basic YTpi", "garbage"] {
            let call = call(&stack, operation).header("authorization", credentials);
            call.send().await?.expect_problem(401, "unauthenticated")?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn only_organizers_make_events() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    for role in [Role::Customer, Role::Gate, Role::Support] {
        let user = stack.user(&[role]).await?;
        for operation in ORGANIZER {
            let answer = call(&stack, operation).by(&user).send().await?;
            answer.expect_problem(403, "forbidden")?;
        }
    }
    Ok(())
}
