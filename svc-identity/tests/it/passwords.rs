//! Another password, and what becomes of the sessions of the old one.

use e2e::wait::SOON;
use e2e::{Answer, PASSWORD, Stack, User};
use futures::future::join_all;
use schemas::identity::{NoticeKind, SecurityNotice};
use serde_json::{Value, json};

use crate::me;

async fn change(stack: &Stack, user: &User, current: &str, new: &str) -> anyhow::Result<Answer> {
    let body = json!({"current_password": current, "new_password": new});
    let call = stack.identity().post("/v1/users/me/password").by(user);
    call.json(&body).send().await
}

async fn sign_in(stack: &Stack, user: &User, password: &str) -> anyhow::Result<Answer> {
    let body = json!({"email": user.email, "password": password});
    let call = stack.identity().post("/v1/sessions").json(&body);
    call.send().await
}

async fn refresh(stack: &Stack, token: &Value) -> anyhow::Result<Answer> {
    let body = json!({"refresh_token": token});
    let call = stack.identity().post("/v1/sessions/refresh").json(&body);
    call.send().await
}

#[tokio::test]
async fn a_new_password_ends_all_sessions_at_once() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let elsewhere = sign_in(&stack, &user, PASSWORD).await?.expect(200)?;
    let mut notices = stack.records_from_now("identity.notices")?;
    let changed = change(&stack, &user, PASSWORD, "another passphrase").await?;
    assert_eq!(changed.status, 204, "{changed}");
    let (_, notice) = notices
        .wait_for_key::<SecurityNotice>(user.id, SOON)
        .await?;
    assert_eq!(notice.kind, NoticeKind::PasswordChanged);

    for token in [&json!(user.refresh_token), &elsewhere["refresh_token"]] {
        let refused = refresh(&stack, token).await?;
        refused.expect_problem(401, "unauthenticated")?;
    }
    let old = sign_in(&stack, &user, PASSWORD).await?;
    old.expect_problem(401, "bad-credentials")?;
    let new = sign_in(&stack, &user, "another passphrase").await?;
    let new = new.expect(200)?;
    refresh(&stack, &new["refresh_token"]).await?.expect(200)?;
    // The access token ends by itself; nobody knows the password by it.
    let me = me(&stack, &user).await?;
    assert_eq!(me.etag()?, "\"2\"");
    Ok(())
}

#[tokio::test]
async fn who_does_not_know_the_password_changes_nothing() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let refused = change(&stack, &user, "not the password", "another passphrase").await?;
    refused.expect_problem(401, "bad-credentials")?;
    for (current, new, pointer, code) in [
        (PASSWORD, "short", "/new_password", "length"),
        (PASSWORD, "iloveyou", "/new_password", "common"),
        (PASSWORD, "Password123", "/new_password", "common"),
    ] {
        let refused = change(&stack, &user, current, new).await?;
        let problem = refused.expect_problem(422, "invalid")?;
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!(pointer), &json!(code)),
            "{problem}"
        );
    }
    refresh(&stack, &json!(user.refresh_token))
        .await?
        .expect(200)?;
    sign_in(&stack, &user, PASSWORD).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn of_changes_at_once_one_happens() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let new = |number: usize| format!("new passphrase {number}");
    let changes = (0..4).map(async |number| change(&stack, &user, PASSWORD, &new(number)).await);
    let answers = join_all(changes).await;
    let answers: Vec<Answer> = answers.into_iter().collect::<Result<_, _>>()?;
    let mut good = Vec::new();
    for (number, answer) in answers.into_iter().enumerate() {
        match answer.status {
            204 => good.push(number),
            _ => _ = answer.expect_problem(401, "bad-credentials")?,
        }
    }
    let [winner] = good[..] else {
        anyhow::bail!("{} changes happened", good.len());
    };
    for number in 0..4 {
        let signed_in = sign_in(&stack, &user, &new(number)).await?;
        assert_eq!(signed_in.status == 200, number == winner, "{signed_in}");
    }
    Ok(())
}
