//! The audit trail: who did what, from where, in which request.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::Context as _;
use e2e::{Call, PASSWORD, Role, Stack, eventually};
use platform::clock::Timestamp;
use platform::ids::new_id;
use schemas::identity::{EmailVerificationRequested, PasswordResetRequested};
use serde_json::{Value, json};

use crate::mail_links::next;

const SOON: Duration = Duration::from_secs(20);

/// The entries of these requests, by request id. Pages are small, so that there are many.
pub(crate) async fn entries(
    stack: &Stack,
    request_ids: &[String],
) -> anyhow::Result<BTreeMap<String, Value>> {
    let admin = stack.admin_token().await?;
    let mut found = BTreeMap::new();
    let mut path = "/v1/audit?limit=20".to_owned();
    let mut last_at = None;
    loop {
        let answer = stack.identity().get(&path).token(&admin).send().await?;
        let page = answer.expect(200)?;
        for entry in page["items"].as_array().context("items")? {
            let at: Timestamp = entry["at"].as_str().context("a time")?.parse()?;
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
        let entry = entry_of(&found, &id, action, &actor, &about)?;
        assert_eq!(entry["client"], "203.0.113.7");
        assert!(!entry.to_string().contains(&user.email), "{entry}");
    }
    Ok(())
}

/// The entry of a request: that `actor` did `action`, of which `about` is the user.
fn entry_of<'a>(
    found: &'a BTreeMap<String, Value>,
    id: &str,
    action: &str,
    actor: &Value,
    about: &Value,
) -> anyhow::Result<&'a Value> {
    let entry = found
        .get(id)
        .with_context(|| format!("no entry says {action}"))?;
    assert_eq!(
        (&entry["action"], &entry["outcome"]),
        (&json!(action), &json!("done"))
    );
    assert_eq!(
        (&entry["actor_id"], &entry["user_id"]),
        (actor, about),
        "{entry}"
    );
    Ok(entry)
}

/// Sends a call that must be answered with `status`; under which id.
async fn done(call: Call, status: u16) -> anyhow::Result<String> {
    let id = format!("audit-{}", new_id());
    let answer = call.request_id(&id).send().await?;
    anyhow::ensure!(answer.status == status, "{answer}");
    Ok(id)
}

#[tokio::test]
async fn passwords_links_and_copied_tokens_leave_their_entries() -> anyhow::Result<()> {
    const NEW: &str = "a passphrase for another day";
    let stack = Stack::from_env();
    let mut mails = stack.records_from_now("identity.mail")?;
    let user = stack.customer().await?;
    let verification: EmailVerificationRequested = next(&mut mails, user.id).await?;
    let (api, me, null) = (stack.identity(), json!(user.id), Value::Null);
    let post = |path: &str, body: &Value| api.post(path).json(body);
    let change = |current: &str| {
        let body = json!({"current_password": current, "new_password": PASSWORD});
        post("/v1/users/me/password", &body).by(&user)
    };
    let verify = json!({"token": verification.token});
    let verify = post("/v1/email-verifications/confirm", &verify);
    let ask = post("/v1/password-resets", &json!({"email": user.email}));
    let mut expected = vec![
        (done(verify, 204).await?, "email-verified", &me),
        (
            done(change("wrong"), 401).await?,
            "password-change-failed",
            &me,
        ),
        (done(ask, 202).await?, "password-reset-asked", &null),
    ];
    let spent = post(
        "/v1/sessions/refresh",
        &json!({"refresh_token": user.refresh_token}),
    );
    spent.clone().send().await?.expect(200)?;
    expected.push((done(spent, 401).await?, "refresh-token-reused", &null));
    let reset: PasswordResetRequested = next(&mut mails, user.id).await?;
    let reset = json!({"token": reset.token, "new_password": NEW});
    let reset = post("/v1/password-resets/confirm", &reset);
    expected.push((done(reset, 204).await?, "password-reset", &me));
    expected.push((done(change(NEW), 204).await?, "password-changed", &me));

    let ids: Vec<String> = expected.iter().map(|(id, ..)| id.clone()).collect();
    let found = entries(&stack, &ids).await?;
    for (id, action, actor) in expected {
        entry_of(&found, &id, action, actor, &me)?;
    }
    Ok(())
}

#[tokio::test]
async fn what_was_refused_is_there_as_such() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (admin, user) = (stack.admin_token().await?, stack.customer().await?);
    let taken = json!({"email": user.email, "password": PASSWORD, "name": "Twice"});
    let [first, second] = [new_id(), new_id()].map(|id| format!("audit-{id}"));
    let register = stack.identity().post("/v1/users").json(&taken);
    let refused = register.request_id(&first).send().await?;
    refused.expect_problem(409, "email-taken")?;
    let erase = stack.identity().delete(format!("/v1/users/{}", user.id));
    let erase = erase.token(&admin).if_match("\"9\"").request_id(&second);
    erase.send().await?.expect_problem(412, "stale")?;
    let found = entries(&stack, &[first.clone(), second.clone()]).await?;
    for (id, action, about) in [
        (first, "registered", Value::Null),
        (second, "erased", json!(user.id)),
    ] {
        let entry = found.get(&id).with_context(|| format!("no {action}"))?;
        assert_eq!(
            (&entry["action"], &entry["outcome"], &entry["user_id"]),
            (&json!(action), &json!("refused"), &about)
        );
    }
    Ok(())
}

#[tokio::test]
async fn who_hangs_up_is_in_the_trail() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let id = format!("audit-{}", new_id());
    let body = json!({"email": user.email, "password": "not the password"}).to_string();
    let address = stack.identity().base().replace("http://", "");
    let request = format!(
        "POST /v1/sessions HTTP/1.1\r\nhost: {address}\r\nx-request-id: {id}\r\n\
         content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // When the server asks for the body the handler is at work; a password takes longer to look at than the connection
    // takes to go.
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(request.as_bytes())?;
    let mut asked = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    connection.read_exact(&mut asked)?;
    connection.write_all(body.as_bytes())?;
    drop(connection);
    let entry = eventually(SOON, "the entry", async || {
        let newest = stack.admin_token().await?;
        let newest = stack.identity().get("/v1/audit?limit=200").token(&newest);
        let page = newest.send().await?.expect(200)?;
        let items = page["items"].as_array().context("items")?;
        let is_it = |entry: &&Value| entry["request_id"] == id.as_str();
        Ok(items.iter().find(is_it).cloned())
    })
    .await?;
    assert_eq!(entry["action"], "sign-in-failed");
    assert_eq!(entry["user_id"], json!(user.id));
    Ok(())
}

/// Ids that callers choose cannot be anything: what is no short, visible text is replaced.
#[tokio::test]
async fn a_request_id_is_short_and_visible_and_the_entry_has_one_of_its_own() -> anyhow::Result<()>
{
    let stack = Stack::from_env();
    let other = stack.customer().await?;
    let chosen = format!("audit-{}", new_id());
    let long = chosen.repeat(4);
    let mut used = Vec::new();
    for id in [&chosen, &chosen, &long] {
        let denied = stack.identity().get("/v1/audit").by(&other).request_id(id);
        let answer = denied.send().await?;
        used.push(answer.header("x-request-id").unwrap_or_default().to_owned());
        answer.expect_problem(403, "forbidden")?;
    }
    assert_eq!(used[..2], [chosen.clone(), chosen.clone()]);
    assert!(used[2].len() == 36 && used[2] != long, "{}", used[2]);
    // Who takes another's id, or the same twice, makes two entries and hides none.
    let admin = stack.admin_token().await?;
    let newest = stack.identity().get("/v1/audit?limit=200").token(&admin);
    let page = newest.send().await?.expect(200)?;
    let ids = page["items"].as_array().into_iter().flatten();
    let ids = ids.filter(|entry| entry["request_id"] == chosen.as_str());
    let ids: BTreeSet<String> = ids.map(|entry| entry["id"].to_string()).collect();
    assert_eq!(ids.len(), 2);
    Ok(())
}

#[tokio::test]
async fn behind_the_gateway_nobody_chooses_his_address() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let id = format!("audit-{}", new_id());
    let body = json!({"email": "nobody@example.com", "password": "not the password"});
    let gateway = stack.gateway().from_address(Ipv4Addr::new(127, 0, 9, 1));
    let call = gateway.post("/v1/sessions").json(&body).request_id(&id);
    call.header("x-forwarded-for", "203.0.113.7").send().await?;
    let found = entries(&stack, std::slice::from_ref(&id)).await?;
    let entry = found.get(&id).context("the failed sign-in")?;
    assert_eq!(entry["client"], "127.0.9.1", "{entry}");
    Ok(())
}
