//! What people change about themselves.

use std::time::Duration;

use e2e::{Answer, Stack, User};
use futures::future::join_all;
use schemas::identity::UserSnapshot;
use serde_json::{Value, json};

use crate::me;

const SOON: Duration = Duration::from_secs(20);

async fn patch(stack: &Stack, user: &User, etag: &str, body: Value) -> anyhow::Result<Answer> {
    let call = stack.identity().patch("/v1/users/me").by(user);
    call.if_match(etag).json(&body).send().await
}

#[tokio::test]
async fn a_change_shows_to_me_and_to_the_other_services() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let mut topic = stack.records_from_now("identity.users")?;
    let body = json!({"name": " Zoë ", "phone": "+33 6 12 34 56 78", "locale": "es"});
    let changed = patch(&stack, &user, "\"1\"", body).await?;
    assert_eq!(changed.etag()?, "\"2\"");
    let changed = changed.expect(200)?;
    assert_eq!(
        (&changed["name"], &changed["phone"], &changed["locale"]),
        (&json!("Zoë"), &json!("+33612345678"), &json!("es"))
    );
    assert_eq!(changed["email"], user.email);
    let shown = me(&stack, &user).await?;
    assert_eq!(shown.etag()?, "\"2\"");
    assert_eq!(shown.expect(200)?, changed);
    let (_, snapshot) = topic.wait_for_key::<UserSnapshot>(user.id, SOON).await?;
    assert_eq!(
        (
            snapshot.version,
            snapshot.name.as_str(),
            snapshot.locale.as_str()
        ),
        (2, "Zoë", "es")
    );

    // One field at a time: the others stay. Null takes away what a user can be without.
    let without = patch(&stack, &user, "\"2\"", json!({"phone": null})).await?;
    let without = without.expect(200)?;
    assert_eq!(
        (&without["phone"], &without["name"]),
        (&Value::Null, &json!("Zoë"))
    );
    let same = patch(&stack, &user, "*", json!({})).await?;
    assert_eq!(same.etag()?, "\"3\"");
    // A profile is no reason to sign in again.
    let body = json!({"refresh_token": user.refresh_token});
    let call = stack.identity().post("/v1/sessions/refresh").json(&body);
    call.send().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_change_starts_from_the_version_that_was_seen() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let body = json!({"name": "Blind"});
    let blind = stack.identity().patch("/v1/users/me").by(&user).json(&body);
    blind
        .send()
        .await?
        .expect_problem(428, "if-match-required")?;
    let stale = patch(&stack, &user, "\"7\"", body).await?;
    stale.expect_problem(412, "stale")?;
    let names = (0..5).map(|number| json!({"name": format!("Number {number}")}));
    let answers = join_all(names.map(|body| patch(&stack, &user, "\"1\"", body))).await;
    let answers: Vec<Answer> = answers.into_iter().collect::<Result<_, _>>()?;
    let (won, lost): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        answer.expect_problem(412, "stale")?;
    }
    let me = me(&stack, &user).await?;
    assert_eq!((me.etag()?.as_str(), &me.body), ("\"2\"", &won[0].body));
    Ok(())
}

#[tokio::test]
async fn a_change_that_is_wrong_names_the_field() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    for (body, pointer, code) in [
        (json!({"name": null}), "/name", "required"),
        (json!({"locale": null}), "/locale", "required"),
        (json!({"name": ""}), "/name", "length"),
        (json!({"name": 7}), "/name", "type"),
        (json!({"phone": "0612345678"}), "/phone", "form"),
        (json!({"locale": "de"}), "/locale", "unknown"),
        (json!({"email": "other@example.com"}), "/email", "unknown"),
        (json!({"roles": ["admin"]}), "/roles", "unknown"),
    ] {
        let answer = patch(&stack, &user, "*", body).await?;
        let problem = answer.expect_problem(422, "invalid")?;
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!(pointer), &json!(code)),
            "{problem}"
        );
    }
    let me = me(&stack, &user).await?;
    assert_eq!(me.etag()?, "\"1\"");
    Ok(())
}
