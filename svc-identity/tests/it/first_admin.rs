//! The admin of the settings, over several starts.

use e2e::users::{fresh_email, register, sign_in};
use e2e::{PASSWORD, Stack};

use platform::clock::Timestamp;
use platform::ids::new_id;
use scylla::value::CqlTimestamp;
use svc_identity::domain::email::Email;
use svc_identity::first_admin::is_for;

use crate::crashes::database;
use crate::own::Own;

async fn start_with_first_admin(email: &str) -> anyhow::Result<Own> {
    Own::start(&[
        ("IDENTITY_FIRST_ADMIN_EMAIL", email),
        ("IDENTITY_FIRST_ADMIN_PASSWORD", PASSWORD),
    ])
    .await
}

#[tokio::test]
async fn who_was_erased_does_not_come_back_by_a_restart() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let email = fresh_email("first-admin");
    let first = start_with_first_admin(&email).await?;
    let admin = sign_in(&first.api, &email).await?;
    let admin = admin.ok_or_else(|| anyhow::anyhow!("the first admin cannot sign in"))?;
    drop(first);

    // A restart finds him; the account stays what it is.
    let second = start_with_first_admin(&email).await?;
    let again = sign_in(&second.api, &email).await?;
    assert_eq!(again.map(|again| again.id), Some(admin.id));
    let erase = second.api.delete("/v1/users/me").by(&admin).send().await?;
    assert_eq!(erase.status, 204, "{erase}");
    drop(second);

    let third = start_with_first_admin(&email).await?;
    assert!(sign_in(&third.api, &email).await?.is_none());
    // The address is free, and who has it is nobody's admin, the next start included.
    register(stack.identity(), &email, "Somebody else", "en").await?;
    drop(third);
    let fourth = start_with_first_admin(&email).await?;
    let other = sign_in(&fourth.api, &email).await?;
    let other = other.ok_or_else(|| anyhow::anyhow!("who registered cannot sign in"))?;
    assert_ne!(other.id, admin.id);
    let listed = fourth.api.get("/v1/users").by(&other).send().await?;
    listed.expect_problem(403, "forbidden")?;
    Ok(())
}

#[tokio::test]
async fn who_was_erased_does_not_come_back_whatever_was_claimed_before() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (email, other) = (fresh_email("first-admin"), new_id());
    // A registration that broke off, or is under way in this moment.
    let claim =
        "INSERT INTO email_claims (email, user_id, claimed_at) VALUES (?, ?, ?) IF NOT EXISTS";
    let now = CqlTimestamp(Timestamp::now().as_millis());
    let database = database(&stack).await?;
    let values = (&email, other, now);
    database.query_unpaged(claim, values).await?;

    let first = start_with_first_admin(&email).await?;
    let admin = sign_in(&first.api, &email).await?;
    let admin = admin.ok_or_else(|| anyhow::anyhow!("the first admin cannot sign in"))?;
    let key = Email::parse(&email)?.key();
    assert!(is_for(&key, admin.id) && !is_for(&key, other));
    let listed = first.api.get("/v1/users").by(&admin).send().await?;
    listed.expect(200)?;
    // It goes on, and makes nobody.
    let late = "INSERT INTO users (user_id, version, operation_id, email) VALUES (?, 1, ?, ?) IF NOT EXISTS";
    let values = (other, new_id(), &email);
    database.query_unpaged(late, values).await?;
    let nobody = first.api.get(format!("/v1/users/{other}")).by(&admin);
    nobody.send().await?.expect_problem(404, "not-found")?;
    let there = sign_in(&first.api, &email).await?;
    assert_eq!(there.map(|there| there.id), Some(admin.id));

    let erase = first.api.delete("/v1/users/me").by(&admin).send().await?;
    assert_eq!(erase.status, 204, "{erase}");
    drop(first);
    let second = start_with_first_admin(&email).await?;
    assert!(sign_in(&second.api, &email).await?.is_none());
    Ok(())
}
