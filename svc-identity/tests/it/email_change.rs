//! Another address: wished for with the password, proved by the link that goes there.

use anyhow::Context as _;
use e2e::users::{fresh_email, id_of, register, sign_in};
use e2e::wait::SOON;
use e2e::{Answer, PASSWORD, Stack, User};
use futures::future::join_all;
use platform::ids::new_id;
use schemas::identity::{
    EmailChangeRequested, FormerEmail, NoticeKind, SecurityNotice, UserSnapshot,
};
use serde_json::json;

use crate::mail_links::{is_dead, next};
use crate::me;

/// What `user` is answered who wants the address `new`.
pub(crate) async fn wish(stack: &Stack, user: &User, new: &str) -> anyhow::Result<Answer> {
    let body = json!({"current_password": PASSWORD, "new_email": new});
    let call = stack.identity().post("/v1/users/me/email").by(user);
    call.if_match("*").json(&body).send().await
}

pub(crate) async fn confirm(stack: &Stack, token: &str) -> anyhow::Result<Answer> {
    let call = stack.identity().post("/v1/email-changes/confirm");
    call.json(&json!({"token": token})).send().await
}

/// The token in the mail to `new`, which `user` wants.
pub(crate) async fn wished(stack: &Stack, user: &User, new: &str) -> anyhow::Result<String> {
    let mut topic = stack.records_from_now("identity.mail")?;
    let answer = wish(stack, user, new).await?;
    anyhow::ensure!(answer.status == 202, "{answer}");
    let asked: EmailChangeRequested = next(&mut topic, user.id).await?;
    Ok(asked.token)
}

#[tokio::test]
async fn a_proved_address_takes_the_place_of_the_one_before() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, new) = (stack.customer().await?, fresh_email("Moved"));
    let mut users = stack.records_from_now("identity.users")?;
    let mut notices = stack.records_from_now("identity.notices")?;
    let token = wished(&stack, &user, &new).await?;
    let snapshot: UserSnapshot = next(&mut users, user.id).await?;
    assert_eq!(snapshot.email, user.email);
    let link_goes_to = snapshot.wished_email.context("a wish")?;
    assert_eq!(link_goes_to.email, new);
    // Until it is proved it is nobody's.
    assert!(sign_in(stack.identity(), &new).await?.is_none());
    assert!(sign_in(stack.identity(), &user.email).await?.is_some());

    assert_eq!(confirm(&stack, &token).await?.status, 204);
    let shown = me(&stack, &user).await?.expect(200)?;
    assert_eq!(
        (&shown["email"], &shown["email_verified"]),
        (&json!(new), &json!(true))
    );
    let there = sign_in(stack.identity(), &new.to_uppercase()).await?;
    assert_eq!(there.context("the new address")?.id, user.id);
    assert!(sign_in(stack.identity(), &user.email).await?.is_none());
    let body = json!({"refresh_token": user.refresh_token});
    let refresh = stack.identity().post("/v1/sessions/refresh").json(&body);
    refresh
        .send()
        .await?
        .expect_problem(401, "unauthenticated")?;
    // Whoever did not get that answer gets it again, and nothing happens again.
    assert_eq!(confirm(&stack, &token).await?.status, 204);
    let shown_again = me(&stack, &user).await?.expect(200)?;
    assert_eq!(shown_again, shown);

    let (_, notice) = notices
        .wait_for_key::<SecurityNotice>(user.id, SOON)
        .await?;
    assert_eq!(notice.kind, NoticeKind::EmailChanged);
    let snapshot: UserSnapshot = next(&mut users, user.id).await?;
    assert_eq!(snapshot.email, new);
    assert!(snapshot.email_verified && snapshot.wished_email.is_none());
    let told_at = FormerEmail {
        email: user.email.clone(),
        until: notice.at,
    };
    assert_eq!(snapshot.former_emails, Some(vec![told_at]));

    // The one before is free, and whoever has it next is somebody else.
    let next = register(stack.identity(), &user.email, "Somebody else", "en").await?;
    assert_ne!(id_of(&next)?, user.id);
    Ok(())
}

#[tokio::test]
async fn a_wish_needs_the_password_the_version_and_another_address() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let call = || stack.identity().post("/v1/users/me/email").by(&user);
    let body =
        |password: &str, email: &str| json!({"current_password": password, "new_email": email});
    let good = body(PASSWORD, &fresh_email("new"));
    let unseen = call().json(&good).send().await?;
    unseen.expect_problem(428, "if-match-required")?;
    let stale = call().if_match("\"7\"").json(&good).send().await?;
    stale.expect_problem(412, "stale")?;
    let wrong = body("not the password", &fresh_email("new"));
    let wrong = call().if_match("*").json(&wrong).send().await?;
    wrong.expect_problem(401, "bad-credentials")?;
    for (email, code) in [
        (user.email.to_uppercase(), "unchanged"),
        ("alice".to_owned(), "form"),
    ] {
        let refused = wish(&stack, &user, &email).await?;
        let error = refused.expect_problem(422, "invalid")?["errors"][0].take();
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!("/new_email"), &json!(code))
        );
    }
    let unchanged = me(&stack, &user).await?;
    assert_eq!(unchanged.etag()?, "\"1\"");
    let seen = call().if_match("\"1\"").json(&good).send().await?;
    assert_eq!(seen.status, 202, "{seen}");
    Ok(())
}

#[tokio::test]
async fn nobody_learns_by_a_wish_who_has_an_address() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, other) = (stack.customer().await?, stack.customer().await?);
    let mut topic = stack.records_from_now("identity.mail")?;
    let shown = async |email: &str| {
        let answer = wish(&stack, &user, email).await?;
        anyhow::Ok((answer.status, answer.bytes))
    };
    let new = fresh_email("free");
    assert_eq!(shown(&other.email).await?, shown(&new).await?);
    // No mail goes to who has the address already: the first one is for the other wish.
    let asked: EmailChangeRequested = next(&mut topic, user.id).await?;
    assert_eq!(confirm(&stack, &asked.token).await?.status, 204);
    let shown = me(&stack, &user).await?.expect(200)?;
    assert_eq!(shown["email"], json!(new));
    Ok(())
}

#[tokio::test]
async fn of_two_who_want_an_address_one_gets_it() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let new = fresh_email("wanted");
    let rivals = [stack.customer().await?, stack.customer().await?];
    let mut tokens = Vec::new();
    for rival in &rivals {
        tokens.push(wished(&stack, rival, &new).await?);
    }
    let answers = join_all(tokens.iter().map(|token| confirm(&stack, token))).await;
    let mut winner = None;
    for ((rival, token), answer) in rivals.iter().zip(&tokens).zip(answers) {
        let (answer, again) = (answer?, confirm(&stack, token).await?);
        assert_eq!(answer.status, again.status, "{again}");
        if answer.status == 204 {
            assert!(winner.replace(rival.id).is_none(), "both have {new}");
        } else {
            answer.expect_problem(409, "email-taken")?;
            again.expect_problem(409, "email-taken")?;
            // Who was too late goes on under the address of before.
            assert!(sign_in(stack.identity(), &rival.email).await?.is_some());
        }
    }
    let there = sign_in(stack.identity(), &new).await?;
    assert_eq!(there.map(|user| user.id), winner);
    assert!(winner.is_some());
    Ok(())
}

#[tokio::test]
async fn a_link_is_for_the_last_wish_and_does_it_once() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let first = wished(&stack, &user, &fresh_email("first")).await?;
    let new = fresh_email("second");
    let second = wished(&stack, &user, &new).await?;
    is_dead(confirm(&stack, &first).await?)?;
    // What is for one thing is worth nothing for another.
    for path in ["email-verifications", "password-resets"] {
        let body = match path {
            "password-resets" => json!({"token": second, "new_password": "another passphrase"}),
            _ => json!({"token": second}),
        };
        let call = stack.identity().post(format!("/v1/{path}/confirm"));
        is_dead(call.json(&body).send().await?)?;
    }
    for answer in join_all((0..8).map(|_| confirm(&stack, &second))).await {
        let answer = answer?;
        assert_eq!(answer.status, 204, "{answer}");
    }
    // Two wishes, and the three steps of one change.
    assert_eq!(me(&stack, &user).await?.etag()?, "\"6\"");
    // And back: what was given up can be had again.
    let there = sign_in(stack.identity(), &new).await?.context("moved")?;
    let back = wished(&stack, &there, &user.email).await?;
    assert_eq!(confirm(&stack, &back).await?.status, 204);
    is_dead(confirm(&stack, &second).await?)?;
    assert!(sign_in(stack.identity(), &user.email).await?.is_some());
    let next = register(stack.identity(), &new, "Somebody else", "en").await?;
    assert_ne!(id_of(&next)?, user.id);
    Ok(())
}

#[tokio::test]
async fn a_wish_dies_with_the_password_and_with_the_user() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let token = wished(&stack, &user, &fresh_email("new")).await?;
    let body = json!({"current_password": PASSWORD, "new_password": "another passphrase"});
    let change = stack.identity().post("/v1/users/me/password").by(&user);
    assert_eq!(change.json(&body).send().await?.status, 204);
    is_dead(confirm(&stack, &token).await?)?;

    let (user, new) = (stack.customer().await?, fresh_email("new"));
    let token = wished(&stack, &user, &new).await?;
    let erase = stack.identity().delete("/v1/users/me").by(&user);
    assert_eq!(erase.send().await?.status, 204);
    is_dead(confirm(&stack, &token).await?)?;
    crate::erasure::is_gone(&stack, &user).await?;
    register(stack.identity(), &new, "Somebody else", "en").await?;
    Ok(())
}

#[tokio::test]
async fn a_change_of_address_is_in_the_audit_trail_and_in_the_export() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, new) = (stack.customer().await?, fresh_email("new"));
    let token = wished(&stack, &user, &new).await?;
    let export = async || {
        let call = stack.identity().get("/v1/users/me/export").by(&user);
        call.send().await?.expect(200)
    };
    let before = export().await?;
    assert_eq!(before["wished_email"]["email"], json!(new));
    assert_eq!(before["former_emails"], json!([]));
    let ids = [new_id().to_string(), new_id().to_string()];
    let body = json!({"current_password": "wrong", "new_email": new});
    let failed = stack.identity().post("/v1/users/me/email").by(&user);
    let failed = failed.if_match("*").json(&body).request_id(&ids[0]);
    failed
        .send()
        .await?
        .expect_problem(401, "bad-credentials")?;
    let confirm = stack.identity().post("/v1/email-changes/confirm");
    let confirm = confirm.json(&json!({"token": token})).request_id(&ids[1]);
    assert_eq!(confirm.send().await?.status, 204);
    let entries = crate::audit::entries(&stack, &ids).await?;
    for (id, action) in ids.iter().zip(["email-change-failed", "email-changed"]) {
        assert_eq!(entries[id]["action"], action);
        assert_eq!(entries[id]["user_id"], json!(user.id));
        assert_eq!(entries[id]["outcome"], "done");
    }
    let after = export().await?;
    assert_eq!(after["wished_email"], json!(null));
    assert_eq!(after["former_emails"][0]["email"], json!(user.email));
    Ok(())
}
