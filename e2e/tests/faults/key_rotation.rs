//! The signing key changes while people are signed in, and nobody notices.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use e2e::{Stack, control, eventually};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The key signs two minutes after it was made; the rest is for a busy machine.
const DEADLINE: Duration = Duration::from_secs(200);
/// How long people go on after the new key has taken over: longer than the gateway keeps what it fetched.
const AFTERWARDS: Duration = Duration::from_secs(65);
const PAUSE: Duration = Duration::from_secs(1);
/// Whatever the other tests kill is back by then.
const BACK_WITHIN: Duration = Duration::from_secs(60);

fn key_id(token: &str) -> anyhow::Result<String> {
    let head = token.split('.').next().context("a head")?;
    let head: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(head)?)?;
    Ok(head["kid"].as_str().context("a key id")?.to_owned())
}

/// The token is believed by the gateway and by every service behind it. The other tests kill svc-checkout meanwhile: a service that
/// is away says nothing of a token and is asked again, what any service says counts at once.
async fn is_good(stack: &Stack, token: &str) -> anyhow::Result<()> {
    for path in [
        "/v1/users/me",
        "/v1/events?limit=1",
        "/v1/orders",
        "/v1/notifications",
    ] {
        let answer = eventually(BACK_WITHIN, "the service to be back", async || {
            let answer = stack.gateway().get(path).token(token).send().await?;
            Ok((answer.status != 503).then_some(answer))
        })
        .await?;
        ensure!(answer.status == 200, "{answer}");
    }
    Ok(())
}

/// The newest entry about a rotation in the trail.
async fn newest_rotation(stack: &Stack) -> anyhow::Result<Option<Value>> {
    let admin = stack.admin_token().await?;
    let newest = stack.identity().get("/v1/audit?limit=200").token(&admin);
    let page = newest.send().await?.expect(200)?;
    let entries = page["items"].as_array().context("items")?;
    let mut entries = entries.iter();
    let rotation = entries.find(|entry| entry["action"] == "keys-rotated");
    Ok(rotation.cloned())
}

/// That the trail has a rotation since `before`: by nobody who is signed in, and from no address, for it was done at the
/// machine.
async fn is_in_the_trail(stack: &Stack, before: Option<&Value>) -> anyhow::Result<()> {
    let rotation = newest_rotation(stack).await?.context("no rotation")?;
    ensure!(
        before.is_none_or(|before| before["id"] != rotation["id"]),
        "the trail has no rotation after {rotation}"
    );
    ensure!(
        rotation["outcome"] == "done"
            && rotation["actor_id"].is_null()
            && rotation["client"].is_null(),
        "{rotation}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_becomes_invalid_when_the_key_rotates() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let first = user.token.clone();
    let old_key = key_id(&first)?;
    let before = newest_rotation(&stack).await?;
    let rotated = control::stack(&["run", "identity", "rotate-keys"]).await?;
    ensure!(rotated.status.success(), "{rotated:?}");
    is_in_the_trail(&stack, before.as_ref()).await?;
    let again = control::stack(&["run", "identity", "rotate-keys"]).await?;
    ensure!(
        !again.status.success(),
        "a second key while the first is on its way: {again:?}"
    );

    let began = Instant::now();
    let mut refresh_token = Value::from(user.refresh_token);
    let mut took_over = None;
    while took_over.is_none_or(|at: Instant| at.elapsed() < AFTERWARDS) {
        ensure!(
            began.elapsed() < DEADLINE + AFTERWARDS,
            "the new key never took over"
        );
        let body = json!({"refresh_token": refresh_token});
        let call = stack.gateway().post("/v1/sessions/refresh").json(&body);
        let next = call.send().await?.expect(200)?;
        refresh_token = next["refresh_token"].clone();
        let token = next["access_token"].as_str().context("a token")?;
        is_good(&stack, token).await?;
        is_good(&stack, &first).await?;
        if took_over.is_none() && key_id(token)? != old_key {
            took_over = Some(Instant::now());
        }
        sleep(PAUSE).await;
    }
    let jwks = stack
        .gateway()
        .get("/.well-known/jwks.json")
        .send()
        .await?
        .expect(200)?;
    let published = jwks["keys"].as_array().into_iter().flatten();
    ensure!(
        published.into_iter().any(|key| key["kid"] == *old_key),
        "the old key is gone before its last token: {jwks}"
    );
    Ok(())
}
