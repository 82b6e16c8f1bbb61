//! The audit trail: who did what, from where, in which request.

use std::collections::BTreeMap;

use anyhow::Context as _;
use e2e::{PASSWORD, Role, Stack};
use platform::ids::new_id;
use serde_json::{Value, json};

/// The entries of these requests, by request id. Pages are small, so that there are many.
async fn entries(stack: &Stack, request_ids: &[String]) -> anyhow::Result<BTreeMap<String, Value>> {
    let admin = stack.admin_token().await?;
    let mut found = BTreeMap::new();
    let mut path = "/v1/audit?limit=20".to_owned();
    let mut last_at = None;
    loop {
        let answer = stack.identity().get(&path).token(&admin).send().await?;
        let page = answer.expect(200)?;
        for entry in page["items"].as_array().context("items")? {
            let at = entry["at"].as_str().context("a time")?.to_owned();
            anyhow::ensure!(
                last_at.is_none_or(|last| at <= last),
                "{entry} is newer than the one before it"
            );
            last_at = Some(at);
            let id = entry["request_id"].as_str().unwrap_or_default();
            if request_ids.iter().any(|wanted| wanted == id) {
                let again = found.insert(id.to_owned(), entry.clone());
                anyhow::ensure!(again.is_none(), "{id} is there twice");
            }
        }
        match page["next_cursor"].as_str() {
            Some(cursor) if found.len() < request_ids.len() => {
                path = format!("/v1/audit?limit=20&cursor={cursor}");
            }
            _ => return Ok(found),
        }
    }
}

#[tokio::test]
async fn what_was_done_and_tried_is_there_with_its_request() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (admin, user, other) = (
        stack.admin_token().await?,
        stack.customer().await?,
        stack.user(&[Role::Support]).await?,
    );
    let admin_id = crate::keys::claims(&admin)?["sub"].clone();
    let (api, me) = (stack.identity(), json!(user.id));
    let credentials = |password: &str| json!({"email": user.email, "password": password});
    let nobody = json!({"email": "nobody@example.com", "password": "not the password"});
    let roles = format!("/v1/users/{}/roles", user.id);
    let null = Value::Null;
    let calls = [
        (
            api.post("/v1/sessions").json(&credentials(PASSWORD)),
            "signed-in",
            &me,
            &me,
        ),
        (
            api.post("/v1/sessions").json(&credentials("wrong")),
            "sign-in-failed",
            &null,
            &me,
        ),
        (
            api.post("/v1/sessions").json(&nobody),
            "sign-in-failed",
            &null,
            &null,
        ),
        (
            api.get("/v1/users").by(&other),
            "denied",
            &json!(other.id),
            &null,
        ),
        (
            api.put(&roles)
                .token(&admin)
                .if_match("*")
                .json(&json!({"roles": ["gate"]})),
            "roles-changed",
            &admin_id,
            &me,
        ),
        (
            api.patch("/v1/users/me")
                .by(&user)
                .if_match("*")
                .json(&json!({"name": "New"})),
            "profile-changed",
            &me,
            &me,
        ),
        (
            api.delete("/v1/sessions/current").by(&user),
            "signed-out",
            &me,
            &me,
        ),
        (
            api.delete(format!("/v1/users/{}", user.id)).token(&admin),
            "erased",
            &admin_id,
            &me,
        ),
    ];
    let mut expected = Vec::new();
    for (call, action, actor, about) in calls {
        let id = format!("audit-{}", new_id());
        // What the client claims comes first and does not count.
        let call = call
            .request_id(&id)
            .header("x-forwarded-for", "10.9.9.9, 203.0.113.7");
        let answer = call.send().await?;
        anyhow::ensure!(answer.status < 500, "{answer}");
        expected.push((id, action, actor.clone(), about.clone()));
    }
    let ids: Vec<String> = expected.iter().map(|(id, ..)| id.clone()).collect();
    let found = entries(&stack, &ids).await?;
    for (id, action, actor, about) in expected {
        let entry = found
            .get(&id)
            .with_context(|| format!("no entry says {action}"))?;
        assert_eq!(entry["action"], action);
        assert_eq!(
            (&entry["actor_id"], &entry["user_id"]),
            (&actor, &about),
            "{entry}"
        );
        assert_eq!(entry["client"], "203.0.113.7");
        assert!(!entry.to_string().contains(&user.email), "{entry}");
    }
    Ok(())
}

#[tokio::test]
async fn behind_the_gateway_nobody_chooses_his_address() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let id = format!("audit-{}", new_id());
    let body = json!({"email": "nobody@example.com", "password": "not the password"});
    let call = stack
        .gateway()
        .post("/v1/sessions")
        .json(&body)
        .request_id(&id);
    call.header("x-forwarded-for", "203.0.113.7").send().await?;
    let found = entries(&stack, std::slice::from_ref(&id)).await?;
    let entry = found.get(&id).context("the failed sign-in")?;
    let client = entry["client"].as_str().context("an address")?;
    client.parse::<std::net::IpAddr>()?;
    assert_ne!(client, "203.0.113.7", "what the client claims: {entry}");
    Ok(())
}
