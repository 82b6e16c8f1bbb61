//! Signing in, staying signed in, signing out.

use e2e::users::fresh_email;
use e2e::{Answer, PASSWORD, Stack};
use futures::future::join_all;
use scylla::value::CqlTimestamp;
use serde_json::{Value, json};
use svc_identity::tokens::OpaqueToken;

use crate::crashes::database;
use crate::mail_links::is_in_no_table;

async fn refresh(stack: &Stack, token: &Value) -> anyhow::Result<Answer> {
    let body = json!({"refresh_token": token});
    stack
        .identity()
        .post("/v1/sessions/refresh")
        .json(&body)
        .send()
        .await
}

#[tokio::test]
async fn an_access_token_is_for_fifteen_minutes_and_for_nobodys_cache() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let credentials = json!({"email": user.email, "password": PASSWORD});
    let answer = stack
        .identity()
        .post("/v1/sessions")
        .json(&credentials)
        .send()
        .await?;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let session = answer.expect(200)?;
    assert_eq!(
        (&session["token_type"], &session["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    Ok(())
}

#[tokio::test]
async fn a_wrong_address_and_a_wrong_password_look_alike() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let attempt = async |email: &str, password: &str| {
        let credentials = json!({"email": email, "password": password});
        let call = stack
            .identity()
            .post("/v1/sessions")
            .json(&credentials)
            .request_id("alike");
        call.send().await
    };
    let nobody = fresh_email("nobody");
    for _ in 0..2 {
        let wrong_password = attempt(&user.email, "not the password").await?;
        let wrong_address = attempt(&nobody, "not the password").await?;
        assert_eq!(wrong_password.bytes, wrong_address.bytes);
        let headers = |answer: &Answer| {
            let mut headers = answer.headers.clone();
            for differs in ["date", "traceparent"] {
                headers.remove(differs);
            }
            headers
        };
        assert_eq!(headers(&wrong_password), headers(&wrong_address));
        wrong_password.expect_problem(401, "bad-credentials")?;
    }
    // Too short to be a password today, but not too short to be wrong.
    attempt(&user.email, "")
        .await?
        .expect_problem(401, "bad-credentials")?;
    Ok(())
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_copies_end_the_session() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let first = Value::from(user.refresh_token.clone());
    let second = refresh(&stack, &first).await?.expect(200)?;
    assert_ne!(second["refresh_token"], first);
    let me = |token: &Value| {
        stack
            .identity()
            .get("/v1/users/me")
            .token(token.as_str().unwrap_or_default())
    };
    me(&second["access_token"]).send().await?.expect(200)?;
    let third = refresh(&stack, &second["refresh_token"])
        .await?
        .expect(200)?;

    refresh(&stack, &first)
        .await?
        .expect_problem(401, "unauthenticated")?;
    refresh(&stack, &third["refresh_token"])
        .await?
        .expect_problem(401, "unauthenticated")?;
    // The user's other sessions are not concerned.
    let credentials = json!({"email": user.email, "password": PASSWORD});
    let other = stack
        .identity()
        .post("/v1/sessions")
        .json(&credentials)
        .send()
        .await?
        .expect(200)?;
    refresh(&stack, &other["refresh_token"])
        .await?
        .expect(200)?;
    Ok(())
}

#[tokio::test]
async fn of_twenty_at_once_with_one_refresh_token_one_gets_in() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let token = Value::from(user.refresh_token);
    let answers = join_all((0..20).map(|_| refresh(&stack, &token))).await;
    let answers: Vec<Answer> = answers.into_iter().collect::<Result<_, _>>()?;
    let (good, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    let [heir] = &good[..] else {
        anyhow::bail!("{} got in", good.len());
    };
    for other in others {
        other.expect_problem(401, "unauthenticated")?;
    }
    // The copies ended the session.
    let next = refresh(&stack, &heir.body["refresh_token"]).await?;
    next.expect_problem(401, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn however_often_it_is_refreshed_a_session_ends_when_it_was_to_end() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let id = OpaqueToken::parse(&user.refresh_token).map(|token| token.id);
    let database = database(&stack).await?;
    let end = async || {
        let row = "SELECT expires_at FROM sessions WHERE session_id = ?";
        let row = database.query_unpaged(row, (id,)).await?;
        let (end,) = row.into_rows_result()?.first_row::<(CqlTimestamp,)>()?;
        anyhow::Ok(end)
    };
    let first = end().await?;
    let mut token = Value::from(user.refresh_token.clone());
    for _ in 0..3 {
        let next = refresh(&stack, &token).await?.expect(200)?;
        token = next["refresh_token"].clone();
        assert_eq!(end().await?, first);
    }
    let over = "UPDATE sessions SET expires_at = ? WHERE session_id = ? IF EXISTS";
    let values = (CqlTimestamp(0), id);
    database.query_unpaged(over, values).await?;
    let refused = refresh(&stack, &token).await?;
    refused.expect_problem(401, "unauthenticated")?;
    Ok(())
}

#[tokio::test]
async fn no_table_has_a_refresh_token() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let next = refresh(&stack, &json!(user.refresh_token)).await?;
    let next = next.expect(200)?["refresh_token"].take();
    is_in_no_table(&stack, next.as_str().unwrap_or_default()).await
}

#[tokio::test]
async fn what_is_no_refresh_token_is_worth_nothing() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let unknown = "A".repeat(user.refresh_token.len());
    let long = "A".repeat(10_000);
    for token in ["", "garbage", &unknown, &long, &user.token] {
        refresh(&stack, &json!(token))
            .await?
            .expect_problem(401, "unauthenticated")?;
    }
    Ok(())
}

#[tokio::test]
async fn after_signing_out_the_refresh_token_is_dead() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let current = || stack.identity().delete("/v1/sessions/current").by(&user);
    assert_eq!(current().send().await?.status, 204);
    refresh(&stack, &json!(user.refresh_token))
        .await?
        .expect_problem(401, "unauthenticated")?;
    assert_eq!(current().send().await?.status, 204);
    Ok(())
}

#[tokio::test]
async fn signing_out_with_an_older_access_token_ends_the_session_too() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let next = refresh(&stack, &json!(user.refresh_token))
        .await?
        .expect(200)?;
    let signed_out = stack
        .identity()
        .delete("/v1/sessions/current")
        .by(&user)
        .send()
        .await?;
    assert_eq!(signed_out.status, 204);
    refresh(&stack, &next["refresh_token"])
        .await?
        .expect_problem(401, "unauthenticated")?;
    Ok(())
}
