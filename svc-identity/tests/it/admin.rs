//! What admins see and change of others.

use anyhow::Context as _;
use e2e::{Answer, Stack};
use platform::ids::new_id;
use serde_json::{Value, json};

async fn list(stack: &Stack, query: &str) -> anyhow::Result<Answer> {
    let admin = stack.admin_token().await?;
    let path = format!("/v1/users{query}");
    stack.identity().get(path).token(&admin).send().await
}

#[tokio::test]
async fn the_pages_have_everyone_once() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let mut mine = Vec::new();
    for _ in 0..3 {
        mine.push(Value::from(stack.customer().await?.id.to_string()));
    }
    let mut seen = Vec::new();
    let mut query = "?limit=7".to_owned();
    loop {
        let page = list(&stack, &query).await?.expect(200)?;
        let items = page["items"].as_array().context("items")?;
        anyhow::ensure!(items.len() <= 7, "{} items", items.len());
        seen.extend(items.iter().map(|user| user["id"].clone()));
        match page["next_cursor"].as_str() {
            Some(cursor) => query = format!("?limit=7&cursor={cursor}"),
            None => break,
        }
    }
    for id in mine {
        assert_eq!(seen.iter().filter(|seen| **seen == id).count(), 1, "{id}");
    }
    Ok(())
}

#[tokio::test]
async fn an_address_finds_its_user() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let found = list(&stack, &format!("?email={}", user.email.to_uppercase())).await?;
    let page = found.expect(200)?;
    assert_eq!(page["items"][0]["id"], user.id.to_string());
    assert_eq!(
        (page["items"].as_array().map(Vec::len), &page["next_cursor"]),
        (Some(1), &Value::Null)
    );
    let nobody = list(&stack, "?email=nobody@example.com")
        .await?
        .expect(200)?;
    assert_eq!(nobody["items"], json!([]));
    for (query, pointer) in [
        ("?email=alice", "?email"),
        ("?name=alice", "?name"),
        ("?cursor=x", "?cursor"),
        ("?limit=201", "?limit"),
    ] {
        let problem = list(&stack, query).await?.expect_problem(422, "invalid")?;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    Ok(())
}

#[tokio::test]
async fn an_admin_changes_a_profile() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (admin, user) = (stack.admin_token().await?, stack.customer().await?);
    let patch = |id: &str| {
        stack
            .identity()
            .patch(format!("/v1/users/{id}"))
            .token(&admin)
    };
    let (id, body) = (user.id.to_string(), json!({"name": "Corrected"}));
    let blind = patch(&id).json(&body).send().await?;
    blind.expect_problem(428, "if-match-required")?;
    let stale = patch(&id).if_match("\"9\"").json(&body).send().await?;
    stale.expect_problem(412, "stale")?;
    let changed = patch(&id).if_match("\"1\"").json(&body).send().await?;
    assert_eq!(changed.expect(200)?["name"], "Corrected");
    let nobody = patch(&new_id().to_string()).if_match("*").json(&body);
    nobody.send().await?.expect_problem(404, "not-found")?;
    Ok(())
}
