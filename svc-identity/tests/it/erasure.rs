//! Somebody wants to be forgotten.

use std::time::Duration;

use anyhow::Context as _;
use e2e::users::{id_of, register, sign_in};
use e2e::{PASSWORD, Stack, User};
use scylla::value::{CqlTimestamp, Row};
use serde_json::json;

use crate::crashes::database;
use crate::me;

const SOON: Duration = Duration::from_secs(20);

/// That nothing is left of the user but the id.
pub(crate) async fn is_gone(stack: &Stack, user: &User) -> anyhow::Result<()> {
    let database = database(stack).await?;
    let row = database
        .query_unpaged("SELECT JSON * FROM users WHERE user_id = ?", (user.id,))
        .await?
        .into_rows_result()?
        .first_row::<(String,)>()?
        .0;
    for marker in [&user.email, &user.name, "argon2"] {
        anyhow::ensure!(!row.contains(marker), "{marker} in {row}");
    }
    let claims = database
        .query_unpaged(
            "SELECT user_id FROM email_claims WHERE email = ?",
            (&user.email,),
        )
        .await?
        .into_rows_result()?;
    anyhow::ensure!(
        claims.maybe_first_row::<Row>()?.is_none(),
        "the address is claimed"
    );
    let key = user.id.to_string();
    let records = stack.all_records("identity.users").await?;
    let last = records.iter().rfind(|record| record.key == key);
    let last = last.context("nothing was published")?;
    anyhow::ensure!(last.name.is_empty(), "{last:?} is no tombstone");
    Ok(())
}

#[tokio::test]
async fn whoever_erases_himself_is_gone() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let mut topic = stack.records_from_now("identity.users")?;
    let erase = || stack.identity().delete("/v1/users/me").by(&user);
    let stale = erase().if_match("\"7\"").send().await?;
    stale.expect_problem(412, "stale")?;
    let erased = erase().if_match("\"1\"").send().await?;
    assert_eq!(erased.status, 204, "{erased}");

    let key = user.id.to_string();
    let tombstone = topic
        .wait_for("a tombstone", SOON, |record| record.key == key)
        .await?;
    assert_eq!(tombstone.name, "");
    is_gone(&stack, &user).await?;
    // The access token is still good, and names nobody.
    let me = me(&stack, &user).await?;
    me.expect_problem(404, "not-found")?;
    erase().send().await?.expect_problem(404, "not-found")?;
    let body = json!({"refresh_token": user.refresh_token});
    let refresh = stack.identity().post("/v1/sessions/refresh").json(&body);
    refresh
        .send()
        .await?
        .expect_problem(401, "unauthenticated")?;
    assert!(sign_in(stack.identity(), &user.email).await?.is_none());
    let admin = stack.admin_token().await?;
    let path = format!("/v1/users?email={}", user.email);
    let listed = stack.identity().get(path).token(&admin).send().await?;
    assert_eq!(listed.expect(200)?["items"], json!([]));

    // The address is free, and whoever has it next is somebody else.
    let next = register(stack.identity(), &user.email, "Somebody else", "en").await?;
    assert_ne!(id_of(&next)?, user.id);
    Ok(())
}

#[tokio::test]
async fn a_sign_in_that_was_under_way_leaves_no_address_behind() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, database) = (stack.customer().await?, database(&stack).await?);
    let addresses = async || {
        let select = "SELECT client FROM recent_sign_ins WHERE user_id = ?";
        let rows = database.query_unpaged(select, (user.id,)).await?;
        let rows = rows.into_rows_result()?;
        let addresses: Vec<(String,)> = rows.rows()?.collect::<Result<_, _>>()?;
        anyhow::Ok(addresses)
    };
    assert_eq!(addresses().await?.len(), 1);
    let erase = stack.identity().delete("/v1/users/me").by(&user);
    assert_eq!(erase.send().await?.status, 204);
    // As it is written by who had presented the password before.
    let late = "INSERT INTO recent_sign_ins (user_id, client) VALUES (?, ?) USING TTL 60";
    for client in ["127.0.0.1", "192.0.2.1"] {
        database.query_unpaged(late, (user.id, client)).await?;
    }
    let left = addresses().await?;
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn an_admin_erases_others() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (admin, user) = (stack.admin_token().await?, stack.customer().await?);
    let path = format!("/v1/users/{}", user.id);
    let erase = || stack.identity().delete(&path).token(&admin);
    let stale = erase().if_match("\"7\"").send().await?;
    stale.expect_problem(412, "stale")?;
    assert_eq!(erase().send().await?.status, 204);
    is_gone(&stack, &user).await?;
    erase().send().await?.expect_problem(404, "not-found")?;
    let shown = stack.identity().get(&path).token(&admin).send().await?;
    shown.expect_problem(404, "not-found")?;
    Ok(())
}

#[tokio::test]
async fn who_signed_in_long_ago_is_asked_to_sign_in_again() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let session = "SELECT session_id FROM session_by_token WHERE token_id = ?";
    let token = crate::keys::claims(&user.token)?;
    let token: uuid::Uuid = token["jti"].as_str().context("a token id")?.parse()?;
    let database = database(&stack).await?;
    let (session,) = database
        .query_unpaged(session, (token,))
        .await?
        .into_rows_result()?
        .first_row::<(uuid::Uuid,)>()?;
    let earlier = "UPDATE sessions SET signed_in_at = ? WHERE session_id = ? IF EXISTS";
    database
        .query_unpaged(earlier, (CqlTimestamp(0), session))
        .await?;
    let erase = |token: &str| stack.identity().delete("/v1/users/me").token(token).send();
    let refused = erase(&user.token).await?;
    refused.expect_problem(401, "unauthenticated")?;
    // Nor does a refresh make it fresh.
    let body = json!({"refresh_token": user.refresh_token});
    let refreshed = stack.identity().post("/v1/sessions/refresh").json(&body);
    let refreshed = refreshed.send().await?.expect(200)?;
    let refused = erase(refreshed["access_token"].as_str().unwrap_or_default()).await?;
    refused.expect_problem(401, "unauthenticated")?;
    let again = sign_in(stack.identity(), &user.email)
        .await?
        .context(PASSWORD)?;
    assert_eq!(erase(&again.token).await?.status, 204);
    Ok(())
}
