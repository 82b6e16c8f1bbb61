//! Kafka is away in the middle of a change: it may have happened, and the trail says so.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use e2e::control::stack_command;
use e2e::{Stack, eventually};
use platform::ids::new_id;
use serde_json::{Value, json};

use crate::TURN;

const SOON: Duration = Duration::from_secs(60);

/// The entry of this request, if it is among the newest.
async fn entry(stack: &Stack, admin: &str, request_id: &str) -> anyhow::Result<Option<Value>> {
    let answer = stack.identity().get("/v1/audit?limit=200").token(admin);
    let page = answer.send().await?.expect(200)?;
    let items = page["items"].as_array().context("items")?;
    let is_it = |entry: &&Value| entry["request_id"] == request_id;
    Ok(items.iter().find(is_it).cloned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_happened_is_in_the_trail() -> anyhow::Result<()> {
    let _turn = TURN.lock().await;
    let stack = Stack::from_env();
    let (admin, user) = (stack.admin_token().await?, stack.customer().await?);
    let id = format!("audit-{}", new_id());
    let call = stack
        .identity()
        .put(format!("/v1/users/{}/roles", user.id))
        .token(&admin)
        .if_match("*")
        .json(&json!({"roles": ["gate"]}))
        .request_id(&id);
    stack_command("freeze", "kafka").await?;
    let answer = call.send().await;
    stack_command("thaw", "kafka").await?;
    answer?.expect_problem(503, "unavailable")?;

    let found = entry(&stack, &admin, &id).await?.context("no entry")?;
    ensure!(
        found["action"] == "roles-changed" && found["outcome"] == "unknown",
        "{found}"
    );
    ensure!(found["user_id"] == json!(user.id), "{found}");
    // It did happen.
    eventually(SOON, "the new roles", async || {
        let path = format!("/v1/users/{}", user.id);
        let shown = stack.identity().get(path).token(&admin).send().await?;
        Ok((shown.expect(200)?["roles"] == json!(["gate"])).then_some(()))
    })
    .await
}
