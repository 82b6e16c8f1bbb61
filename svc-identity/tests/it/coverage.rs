//! Every operation of the API document without credentials and with wrong ones. An operation that is new fails here
//! until somebody has said who may call it.

use e2e::Stack;
use platform::ids::new_id;

/// What anyone may call.
const OPEN: [&str; 5] = [
    "GET /.well-known/jwks.json",
    "GET /.well-known/openid-configuration",
    "POST /v1/sessions",
    "POST /v1/sessions/refresh",
    "POST /v1/users",
];
/// What only those who are signed in may call.
const CLOSED: [&str; 4] = [
    "DELETE /v1/sessions/current",
    "GET /v1/users/me",
    "GET /v1/users/{id}",
    "PUT /v1/users/{id}/roles",
];

#[tokio::test]
async fn every_operation_is_open_or_closed() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let openapi = stack.identity().get("/api-docs/openapi.json").send().await?.expect(200)?;
    let paths = openapi["paths"].as_object().into_iter().flatten();
    let mut operations: Vec<String> = paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, _)| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    operations.sort();
    let mut known: Vec<&str> = OPEN.into_iter().chain(CLOSED).collect();
    known.sort_unstable();
    assert_eq!(operations, known);
    Ok(())
}

#[tokio::test]
async fn closed_operations_want_a_token_before_anything_else() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    for operation in CLOSED {
        let (method, path) = operation.split_once(' ').unwrap_or_default();
        let path = path.replace("{id}", &new_id().to_string());
        let call = || stack.identity().call(method.parse().expect("a method"), &path);
        let answer = call().send().await?;
        assert!(answer.header("www-authenticate").is_some(), "{answer}");
        answer.expect_problem(401, "unauthenticated")?;
        call().token("garbage").send().await?.expect_problem(401, "unauthenticated")?;
        let basic = call().header("authorization", "Basic YTpi").send().await?;
        basic.expect_problem(401, "unauthenticated")?;
    }
    Ok(())
}
