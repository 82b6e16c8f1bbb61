//! Links in mails: to prove an address, and to choose a new password.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use e2e::users::{fresh_email, id_of, set_roles, sign_in};
use e2e::{Answer, PASSWORD, Reader, Role, Stack, User};
use futures::future::join_all;
use schemas::Record;
use schemas::identity::{EmailVerificationRequested, PasswordResetRequested, UserSnapshot};
use scylla::value::CqlTimestamp;
use serde_json::json;
use svc_identity::tokens::OpaqueToken;
use uuid::Uuid;

use crate::crashes::{database, owe_in};
use crate::forgotten::rows_with;
use crate::me;

const SOON: Duration = Duration::from_secs(30);
const NEW: &str = "a passphrase for another day";

async fn ask(stack: &Stack, email: &str) -> anyhow::Result<Answer> {
    let call = stack
        .identity()
        .post("/v1/password-resets")
        .request_id("alike");
    call.json(&json!({"email": email})).send().await
}

async fn reset(stack: &Stack, token: &str, password: &str) -> anyhow::Result<Answer> {
    let body = json!({"token": token, "new_password": password});
    let call = stack.identity().post("/v1/password-resets/confirm");
    call.json(&body).send().await
}

async fn verify(stack: &Stack, token: &str) -> anyhow::Result<Answer> {
    let call = stack.identity().post("/v1/email-verifications/confirm");
    call.json(&json!({"token": token})).send().await
}

pub(crate) fn is_dead(answer: Answer) -> anyhow::Result<()> {
    let problem = answer.expect_problem(422, "invalid")?;
    let error = &problem["errors"][0];
    assert_eq!(
        (&error["pointer"], &error["code"]),
        (&json!("/token"), &json!("expired"))
    );
    Ok(())
}

pub(crate) async fn next<R: Record>(topic: &mut Reader, user: Uuid) -> anyhow::Result<R> {
    Ok(topic.wait_for_key::<R>(user, SOON).await?.1)
}

/// Somebody who asked to choose a new password, and the token in his mail.
async fn forgetful(stack: &Stack) -> anyhow::Result<(User, String)> {
    let mut topic = stack.records_from_now("identity.mail")?;
    let user = stack.customer().await?;
    assert_eq!(ask(stack, &user.email.to_uppercase()).await?.status, 202);
    let asked: PasswordResetRequested = next(&mut topic, user.id).await?;
    Ok((user, asked.token))
}

#[tokio::test]
async fn who_registers_proves_the_address_by_a_mail() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let mut topic = stack.records_from_now("identity.mail")?;
    let user = stack.customer().await?;
    let asked: EmailVerificationRequested = next(&mut topic, user.id).await?;
    assert_eq!(asked.expires_at - asked.requested_at, 3_600_000_000);
    // What is for one thing is worth nothing for the other.
    is_dead(reset(&stack, &asked.token, NEW).await?)?;
    let mut users = stack.records_from_now("identity.users")?;
    assert_eq!(verify(&stack, &asked.token).await?.status, 204);
    let snapshot: UserSnapshot = next(&mut users, user.id).await?;
    assert!(snapshot.email_verified);
    let me = me(&stack, &user).await?;
    assert_eq!(
        (me.etag()?.as_str(), &me.body["email_verified"]),
        ("\"2\"", &json!(true))
    );
    is_dead(verify(&stack, &asked.token).await?)?;
    Ok(())
}

#[tokio::test]
async fn other_roles_and_another_password_leave_the_address_to_be_proved() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let mut topic = stack.records_from_now("identity.mail")?;
    let user = stack.customer().await?;
    let asked: EmailVerificationRequested = next(&mut topic, user.id).await?;
    let admin = stack.admin_token().await?;
    set_roles(stack.identity(), &admin, user.id, &[Role::Gate]).await?;
    let body = json!({"current_password": PASSWORD, "new_password": NEW});
    let change = stack.identity().post("/v1/users/me/password").by(&user);
    assert_eq!(change.json(&body).send().await?.status, 204);
    assert_eq!(verify(&stack, &asked.token).await?.status, 204);
    is_dead(verify(&stack, &asked.token).await?)?;
    Ok(())
}

#[tokio::test]
async fn a_lost_mail_can_be_asked_for_again() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let mut topic = stack.records_from_now("identity.mail")?;
    let user = stack.customer().await?;
    let first: EmailVerificationRequested = next(&mut topic, user.id).await?;
    let again = || {
        stack
            .identity()
            .post("/v1/email-verifications")
            .by(&user)
            .send()
    };
    assert_eq!(again().await?.status, 202);
    let second: EmailVerificationRequested = next(&mut topic, user.id).await?;
    assert_ne!(first.token, second.token);
    assert_eq!(verify(&stack, &second.token).await?.status, 204);
    is_dead(verify(&stack, &first.token).await?)?;
    assert_eq!(again().await?.status, 202);
    Ok(())
}

#[tokio::test]
async fn who_forgot_the_password_chooses_another_one_and_every_session_ends() -> anyhow::Result<()>
{
    let stack = Stack::from_env();
    let (user, token) = forgetful(&stack).await?;
    let refused = reset(&stack, &token, "password").await?;
    refused.expect_problem(422, "invalid")?;
    is_dead(verify(&stack, &token).await?)?;
    assert_eq!(reset(&stack, &token, NEW).await?.status, 204);
    let credentials = |password: &str| json!({"email": user.email, "password": password});
    let sessions = || stack.identity().post("/v1/sessions");
    let old = sessions().json(&credentials(PASSWORD)).send().await?;
    old.expect_problem(401, "bad-credentials")?;
    sessions()
        .json(&credentials(NEW))
        .send()
        .await?
        .expect(200)?;
    let body = json!({"refresh_token": user.refresh_token});
    let refresh = stack.identity().post("/v1/sessions/refresh").json(&body);
    refresh
        .send()
        .await?
        .expect_problem(401, "unauthenticated")?;
    // Whoever came by the link reads mail at the address.
    let me = me(&stack, &user).await?;
    assert_eq!(me.expect(200)?["email_verified"], true);
    is_dead(reset(&stack, &token, NEW).await?)?;
    Ok(())
}

#[tokio::test]
async fn nobody_learns_who_has_an_account() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let user = stack.customer().await?;
    let mut topic = stack.records_from_now("identity.mail")?;
    let mut times = [vec![], vec![]];
    for _ in 0..7 {
        let nobody = fresh_email("nobody");
        let mut shown = Vec::new();
        for (email, times) in [&user.email, &nobody].into_iter().zip(&mut times) {
            let started = Instant::now();
            let answer = ask(&stack, email).await?;
            times.push(started.elapsed());
            let mut headers = answer.headers.clone();
            for differs in ["date", "traceparent"] {
                headers.remove(differs);
            }
            shown.push((answer.status, answer.bytes, headers));
        }
        assert_eq!(shown[0], shown[1]);
        assert_eq!(shown[0].0, 202);
    }
    let [known, unknown] = times.map(|times| times.into_iter().min().unwrap_or_default());
    let few = Duration::from_millis(5);
    assert!(
        known < unknown * 3 + few && unknown < known * 3 + few,
        "{known:?} and {unknown:?}"
    );
    let asked: PasswordResetRequested = next(&mut topic, user.id).await?;
    assert_eq!(asked.user_id, user.id);
    let wrong = ask(&stack, "alice").await?.expect_problem(422, "invalid")?;
    assert_eq!(wrong["errors"][0]["pointer"], "/email");
    Ok(())
}

#[tokio::test]
async fn of_many_who_use_a_link_at_once_one_does() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (user, token) = forgetful(&stack).await?;
    let password = |number: usize| format!("passphrase number {number}");
    let resets = (0..8).map(async |number| reset(&stack, &token, &password(number)).await);
    let answers = join_all(resets).await;
    let mut good = Vec::new();
    for (number, answer) in answers.into_iter().enumerate() {
        match answer? {
            answer if answer.status == 204 => good.push(number),
            answer => is_dead(answer)?,
        }
    }
    let [winner] = good[..] else {
        anyhow::bail!("{} used the link", good.len());
    };
    let body = json!({"email": user.email, "password": password(winner)});
    let call = stack.identity().post("/v1/sessions").json(&body);
    call.send().await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_link_dies_with_its_hour_with_the_password_and_with_the_user() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let database = database(&stack).await?;
    let (_, late) = forgetful(&stack).await?;
    let earlier =
        "UPDATE mail_links SET expires_at = ? WHERE purpose = 'reset-password' AND link_id = ?";
    let id = OpaqueToken::parse(&late).map(|token| token.id);
    database
        .query_unpaged(earlier, (CqlTimestamp(0), id))
        .await?;
    is_dead(reset(&stack, &late, NEW).await?)?;

    let (user, other) = forgetful(&stack).await?;
    let body = json!({"current_password": PASSWORD, "new_password": NEW});
    let change = stack
        .identity()
        .post("/v1/users/me/password")
        .by(&user)
        .json(&body);
    assert_eq!(change.send().await?.status, 204);
    is_dead(reset(&stack, &other, "yet another passphrase").await?)?;

    let (user, erased) = forgetful(&stack).await?;
    let erase = stack
        .identity()
        .delete("/v1/users/me")
        .by(&user)
        .send()
        .await?;
    assert_eq!(erase.status, 204);
    is_dead(reset(&stack, &erased, NEW).await?)?;
    for token in ["", "garbage", &"A".repeat(64), &user.refresh_token] {
        is_dead(reset(&stack, token, NEW).await?)?;
    }
    Ok(())
}

/// As `SELECT JSON` writes a blob.
fn as_blob(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// That no table of any service has the secret of a token, be it as text or as bytes, and that one row has its hash.
pub(crate) async fn is_in_no_table(stack: &Stack, token: &str) -> anyhow::Result<()> {
    /// What comes before the secret: the id of a row.
    const ID_BYTES: usize = 16;
    /// The first character of the token in which there is nothing of the id.
    const SECRET_FROM: usize = 22;
    let hash = as_blob(&OpaqueToken::parse(token).context("a token of ours")?.hash());
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token)?;
    let secret = &bytes[ID_BYTES..];
    let forms = [
        token[SECRET_FROM..].to_owned(),
        BASE64_URL_SAFE_NO_PAD.encode(secret),
        BASE64_STANDARD_NO_PAD.encode(secret),
        as_blob(secret),
    ];
    let mut markers: Vec<&str> = forms.iter().map(String::as_str).collect();
    markers.push(&hash);
    let found = rows_with(&database(stack).await?, &markers).await?;
    let [row] = &found[..] else {
        anyhow::bail!("one row was to have the hash: {found:?}");
    };
    anyhow::ensure!(row.contains(&hash), "the secret is in {row}");
    let has_secret = forms.iter().any(|form| row.contains(form));
    anyhow::ensure!(!has_secret, "beside its hash the secret is in {row}");
    Ok(())
}

#[tokio::test]
async fn no_table_has_the_token_of_a_link() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (_, token) = forgetful(&stack).await?;
    is_in_no_table(&stack, &token).await
}

#[tokio::test]
async fn a_mail_that_a_crash_left_owed_is_asked_for() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let database = database(&stack).await?;
    let body = json!({"email": fresh_email("owed"), "password": PASSWORD, "name": "Owed"});
    let user = stack
        .identity()
        .post("/v1/users")
        .json(&body)
        .send()
        .await?;
    let id = id_of(&user.expect(201)?)?;
    let mut topic = stack.records_from_now("identity.mail")?;
    owe_in(&database, "reset_intents", id).await?;
    let asked: PasswordResetRequested = next(&mut topic, id).await?;
    assert_eq!(reset(&stack, &asked.token, NEW).await?.status, 204);
    let email = body["email"].as_str().unwrap_or_default();
    assert!(sign_in(stack.identity(), email).await?.is_none());
    // Of nobody, and of somebody whose address is proved, nothing is owed: the intents just go.
    for (table, user) in [("reset_intents", Uuid::nil()), ("verification_intents", id)] {
        owe_in(&database, table, user).await?;
        e2e::eventually(SOON, "the intent to go", async || {
            let rows = database
                .query_unpaged(format!("SELECT aggregate_id FROM {table}"), ())
                .await?
                .into_rows_result()?;
            let mut left = rows.rows::<(Uuid,)>()?.flatten();
            Ok((!left.any(|(owed,)| owed == user)).then_some(()))
        })
        .await?;
    }
    Ok(())
}
