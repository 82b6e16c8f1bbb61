//! Every call of every service, without a token, with a forged one and with a stranger's. A call that is added without
//! a check, or opened without being listed here, fails these tests.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use e2e::{Answer, Api, Service, Stack};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use platform::ids::new_id;
use reqwest::Method;
use serde_json::Value;

/// Calls that anyone may make. A parameter is written `{}`, whatever its name.
const OPEN: &[&str] = &[
    "GET /.well-known/jwks.json",
    "GET /.well-known/openid-configuration",
    "GET /v1/events",
    "GET /v1/events/{}",
    "GET /v1/events/{}/availability",
    "GET /v1/events/{}/availability/stream",
    "GET /v1/events/{}/ticket-types",
    "POST /v1/email-changes/confirm",
    "POST /v1/email-verifications/confirm",
    "POST /v1/password-resets",
    "POST /v1/password-resets/confirm",
    // Its proof is a signature.
    "POST /v1/payments/webhooks/stripe",
    "POST /v1/sessions",
    "POST /v1/sessions/refresh",
    "POST /v1/users",
];

/// Calls of which the gateway does not look at the token: whoever signs in may still hold an old one.
const UNASKED: &[&str] = &[
    "POST /v1/email-changes/confirm",
    "POST /v1/email-verifications/confirm",
    "POST /v1/password-resets",
    "POST /v1/password-resets/confirm",
    "POST /v1/payments/webhooks/stripe",
    "POST /v1/sessions",
    "POST /v1/sessions/refresh",
    "POST /v1/users",
];

/// What any signed-in user may do, for the thing it is about is his own. (The rest of what he may do needs the id of
/// something that is his, and these tests send ids of nothing.)
const OWN: &[&str] = &[
    "DELETE /v1/sessions/current",
    "DELETE /v1/users/me",
    "GET /v1/notifications",
    "GET /v1/orders",
    "GET /v1/support/cases",
    "GET /v1/tickets",
    "GET /v1/users/me",
    "GET /v1/users/me/export",
    "POST /v1/email-verifications",
];

/// A debug build answers slowly, and other tests want to be answered too.
const AT_A_TIME: usize = 8;

#[derive(Debug, Clone)]
struct Operation {
    service: Service,
    method: Method,
    path: String,
}

impl Operation {
    /// `GET /v1/events/{}`.
    fn name(&self) -> String {
        let mut name = format!("{} ", self.method);
        for (index, part) in self.path.split(['{', '}']).enumerate() {
            // Every second part is the name of a parameter.
            name.push_str(if index % 2 == 0 { part } else { "{}" });
        }
        name
    }

    fn is_in(&self, list: &[&str]) -> bool {
        list.contains(&self.name().as_str())
    }

    /// Sends it about things that are not there.
    async fn send(&self, api: &Api, token: Option<&str>) -> anyhow::Result<Answer> {
        let mut path = String::new();
        for (index, part) in self.path.split(['{', '}']).enumerate() {
            path.push_str(
                if index % 2 == 0 {
                    part.to_owned()
                } else {
                    new_id().to_string()
                }
                .as_str(),
            );
        }
        let call = api.call(self.method.clone(), path);
        match token {
            Some(token) => call.token(token).send().await,
            None => call.send().await,
        }
    }
}

/// Every operation of the checked-in descriptions.
fn operations() -> anyhow::Result<Vec<Operation>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut operations = Vec::new();
    for service in Service::ALL {
        let file = root.join(service.name()).join("openapi.json");
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let description: Value = serde_json::from_str(&text)?;
        for (path, methods) in description["paths"].as_object().context("paths")? {
            for method in methods.as_object().context("methods")?.keys() {
                if let Ok(
                    method @ (Method::GET
                    | Method::PUT
                    | Method::POST
                    | Method::PATCH
                    | Method::DELETE),
                ) = method.to_uppercase().parse()
                {
                    operations.push(Operation {
                        service,
                        method,
                        path: path.clone(),
                    });
                }
            }
        }
    }
    ensure!(
        operations.len() > 20,
        "only {} operations",
        operations.len()
    );
    Ok(operations)
}

/// Does `check` to every operation, a few at a time, and ends with the first that fails.
async fn for_each(
    operations: Vec<Operation>,
    check: impl AsyncFn(&Operation) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let check = &check;
    let checks = operations
        .into_iter()
        .map(|operation| async move { check(&operation).await.with_context(|| operation.name()) });
    stream::iter(checks)
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
}

fn is_refused(answer: Answer) -> anyhow::Result<()> {
    let challenge = answer
        .header("www-authenticate")
        .unwrap_or_default()
        .to_owned();
    let shown = answer.to_string();
    answer.expect_problem(401, "unauthenticated")?;
    ensure!(
        challenge.starts_with("Bearer"),
        "{shown}; WWW-Authenticate is {challenge:?}"
    );
    Ok(())
}

#[test]
fn the_lists_have_no_call_that_is_gone() -> anyhow::Result<()> {
    let names: Vec<String> = operations()?.iter().map(Operation::name).collect();
    for listed in [OPEN, OWN].concat() {
        ensure!(
            names.iter().any(|name| name == listed),
            "{listed} is listed here and described nowhere"
        );
    }
    Ok(())
}

#[tokio::test]
async fn without_a_token_the_gateway_refuses() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    for_each(operations()?, async |operation| {
        let answer = operation.send(stack.gateway(), None).await?;
        if operation.is_in(OPEN) {
            ensure!(
                answer.status < 500 && answer.body["code"] != "unauthenticated",
                "{answer}"
            );
        } else {
            is_refused(answer)?;
        }
        Ok(())
    })
    .await
}

/// Who reaches a service past the gateway is no further in.
#[tokio::test]
async fn without_a_token_the_services_refuse() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    for_each(operations()?, async |operation| {
        if operation.is_in(OPEN) {
            return Ok(());
        }
        is_refused(
            operation
                .send(stack.service(operation.service), None)
                .await?,
        )
    })
    .await
}

#[tokio::test]
async fn with_a_forged_token_everyone_refuses() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    // The right three parts, and nobody's signature.
    let buyer = stack.customer().await?;
    let (signed, _) = buyer
        .token
        .rsplit_once('.')
        .context("a token of three parts")?;
    let forged = format!("{signed}.{}", "A".repeat(86));
    for_each(operations()?, async |operation| {
        let answer = operation.send(stack.gateway(), Some(&forged)).await?;
        if operation.is_in(UNASKED) {
            let without = operation.send(stack.gateway(), None).await?;
            ensure!(
                answer.status == without.status,
                "{answer}, without a token {without}"
            );
            return Ok(());
        }
        is_refused(answer)?;
        if !operation.is_in(OPEN) {
            is_refused(
                operation
                    .send(stack.service(operation.service), Some(&forged))
                    .await?,
            )?;
        }
        Ok(())
    })
    .await
}

/// A customer with nothing asks for everything and gets nothing, and no service stumbles.
#[tokio::test]
async fn a_stranger_gets_nothing() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let stranger = stack.customer().await?;
    for_each(operations()?, async |operation| {
        if operation.is_in(OPEN) || operation.is_in(OWN) {
            return Ok(());
        }
        let answer = operation
            .send(stack.service(operation.service), Some(&stranger.token))
            .await?;
        ensure!((400..500).contains(&answer.status), "{answer}");
        ensure!(answer.body["code"].is_string(), "{answer}");
        Ok(())
    })
    .await
}
