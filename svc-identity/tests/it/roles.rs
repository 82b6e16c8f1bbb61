//! Who may do what, and who says so.

use std::time::Duration;

use anyhow::Context as _;
use e2e::users::sign_in;
use e2e::{Answer, Role, Stack, User};
use futures::future::join_all;
use schemas::identity::UserSnapshot;
use serde_json::{Value, json};

async fn put(
    stack: &Stack,
    token: &str,
    of: &User,
    etag: &str,
    roles: Value,
) -> anyhow::Result<Answer> {
    let path = format!("/v1/users/{}/roles", of.id);
    let call = stack.identity().put(path).token(token).if_match(etag);
    call.json(&json!({"roles": roles})).send().await
}

#[tokio::test]
async fn an_admins_change_shows_everywhere() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (admin, user) = (stack.admin_token().await?, stack.customer().await?);
    let mut topic = stack.records("identity.users")?;

    let changed = put(
        &stack,
        &admin,
        &user,
        "\"1\"",
        json!(["support", "organizer"]),
    )
    .await?;
    assert_eq!(changed.etag()?, "\"2\"");
    assert_eq!(
        changed.expect(200)?["roles"],
        json!(["organizer", "support"])
    );
    let shown = stack
        .identity()
        .get(format!("/v1/users/{}", user.id))
        .token(&admin)
        .send()
        .await?;
    assert_eq!(shown.etag()?, "\"2\"");
    assert_eq!(shown.expect(200)?["roles"], json!(["organizer", "support"]));

    let key = user.id.to_string();
    let is_second = |record: &e2e::SeenRecord| {
        record.key == key
            && record
                .read::<UserSnapshot>()
                .is_ok_and(|snapshot| snapshot.version == 2)
    };
    let record = topic
        .wait_for("version 2 of the user", Duration::from_secs(20), is_second)
        .await?;
    assert_eq!(
        record.read::<UserSnapshot>()?.roles,
        ["organizer", "support"]
    );

    // What the sessions were begun with is no longer so: they are over, and a new one has the new roles.
    let body = json!({"refresh_token": user.refresh_token});
    let call = stack.identity().post("/v1/sessions/refresh").json(&body);
    call.send().await?.expect_problem(401, "unauthenticated")?;
    let again = sign_in(stack.identity(), &user.email).await?;
    let again = again.context("the user can sign in")?;
    let claims = crate::keys::claims(&again.token)?;
    assert_eq!(claims["roles"], json!(["organizer", "support"]));
    Ok(())
}

#[tokio::test]
async fn nobody_makes_himself_an_admin() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (admin, user) = (
        stack.admin_token().await?,
        stack.user(&[Role::Support]).await?,
    );
    put(&stack, &user.token, &user, "*", json!(["admin"]))
        .await?
        .expect_problem(403, "forbidden")?;
    let shown = stack
        .identity()
        .get(format!("/v1/users/{}", user.id))
        .token(&admin)
        .send()
        .await?;
    assert_eq!(shown.expect(200)?["roles"], json!(["customer", "support"]));
    Ok(())
}

/// Else whoever was an admin could make himself one again, as long as the token lives.
#[tokio::test]
async fn staff_that_are_staff_no_more_are_refused_at_once() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let root = stack.admin_token().await?;
    let calls_of = async |user: &User| {
        let get = |path: String| stack.identity().get(path).token(&user.token).send();
        let answers = [
            put(&stack, &user.token, user, "*", json!(["admin"])).await?,
            get("/v1/users".to_owned()).await?,
            get("/v1/audit".to_owned()).await?,
            get(format!("/v1/support/customers/{}", user.id)).await?,
        ];
        anyhow::Ok(answers)
    };

    let demoted = stack.user(&[Role::Admin, Role::Support]).await?;
    let own = format!("/v1/users/{}", demoted.id);
    let known = stack.identity().get(&own).token(&demoted.token);
    known.send().await?.expect(200)?;
    put(&stack, &root, &demoted, "*", json!(["customer"]))
        .await?
        .expect(200)?;
    for answer in calls_of(&demoted).await? {
        answer.expect_problem(403, "forbidden")?;
    }

    let erased = stack.user(&[Role::Admin]).await?;
    let path = format!("/v1/users/{}", erased.id);
    stack
        .identity()
        .delete(path)
        .token(&root)
        .send()
        .await?
        .expect(204)?;
    for answer in calls_of(&erased).await? {
        answer.expect_problem(403, "forbidden")?;
    }
    Ok(())
}

#[tokio::test]
async fn a_change_starts_from_the_version_that_its_author_saw() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (admin, user) = (stack.admin_token().await?, stack.customer().await?);
    let path = format!("/v1/users/{}/roles", user.id);
    let body = json!({"roles": ["gate"]});
    let blind = stack
        .identity()
        .put(&path)
        .token(&admin)
        .json(&body)
        .send()
        .await?;
    blind.expect_problem(428, "if-match-required")?;
    put(&stack, &admin, &user, "\"7\"", json!(["gate"]))
        .await?
        .expect_problem(412, "stale")?;
    put(&stack, &admin, &user, "\"1\"", json!(["gate"]))
        .await?
        .expect(200)?;
    put(&stack, &admin, &user, "\"1\"", json!(["support"]))
        .await?
        .expect_problem(412, "stale")?;
    // What changes nothing makes no version.
    let same = put(&stack, &admin, &user, "*", json!(["gate", "gate"])).await?;
    assert_eq!(same.etag()?, "\"2\"");
    Ok(())
}

#[tokio::test]
async fn roles_that_stay_as_they_are_end_no_session() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (admin, user) = (stack.admin_token().await?, stack.customer().await?);
    let same = put(&stack, &admin, &user, "*", json!(["customer"])).await?;
    assert_eq!(same.etag()?, "\"1\"");
    let body = json!({"refresh_token": user.refresh_token});
    let call = stack.identity().post("/v1/sessions/refresh").json(&body);
    call.send().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn of_two_changes_from_one_version_one_happens() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (admin, user) = (stack.admin_token().await?, stack.customer().await?);
    let wanted = ["gate", "support", "organizer", "admin"];
    let puts = wanted.map(|role| put(&stack, &admin, &user, "\"1\"", json!([role])));
    let answers: Vec<Answer> = join_all(puts).await.into_iter().collect::<Result<_, _>>()?;
    let won: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .collect();
    let [won] = won[..] else {
        anyhow::bail!("{} of the changes happened", won.len());
    };
    let now = stack
        .identity()
        .get(format!("/v1/users/{}", user.id))
        .token(&admin)
        .send()
        .await?;
    assert_eq!((now.etag()?.as_str(), &now.body), ("\"2\"", &won.body));
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.clone().expect_problem(412, "stale")?;
    }
    Ok(())
}

#[tokio::test]
async fn roles_are_known_ones_that_a_person_can_have() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (admin, user) = (stack.admin_token().await?, stack.customer().await?);
    for (roles, pointer) in [
        (json!([]), "/roles"),
        (json!(["service"]), "/roles"),
        (json!(["usher"]), "/roles/0"),
        (json!("admin"), "/roles"),
        (json!(vec!["gate"; 11]), "/roles"),
    ] {
        let problem = put(&stack, &admin, &user, "*", roles)
            .await?
            .expect_problem(422, "invalid")?;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let nobody = User {
        id: platform::ids::new_id(),
        ..user
    };
    put(&stack, &admin, &nobody, "*", json!(["gate"]))
        .await?
        .expect_problem(404, "not-found")?;
    Ok(())
}
