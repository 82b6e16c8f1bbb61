//! Somebody forgot the password, or moves to another address: through the gateway, by what is in the mailbox.

use std::time::Duration;

use anyhow::Context as _;
use e2e::users::{fresh_email, sign_in};
use e2e::{Mail, PASSWORD, Stack};
use serde_json::json;

const SOON: Duration = Duration::from_secs(60);

/// The token behind `page` in a mail, whose link must begin with the public origin.
fn token<'a>(stack: &Stack, mail: &'a Mail, page: &str) -> anyhow::Result<&'a str> {
    let text = mail.text.as_deref().context("a plain part")?;
    let link = format!("{}/{page}#token=", stack.gateway().base());
    let (_, rest) = text
        .split_once(&link)
        .with_context(|| format!("no {link} in {text}"))?;
    rest.split_whitespace().next().context("a token")
}

#[tokio::test]
async fn from_registration_to_a_new_password() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (api, mailbox) = (stack.gateway(), stack.mailbox());
    let email = fresh_email("forgetful");
    let old = "the passphrase that will be forgotten";
    let body = json!({"email": email, "password": old, "name": "Zoë", "locale": "fr"});
    // Where a request says that it goes has nothing to do with where links lead.
    let register = api.post("/v1/users").header("host", "evil.example");
    let registered = register.json(&body).send().await?.expect(201)?;
    assert_eq!(registered["email_verified"], false);
    let welcome = mailbox.wait_for(&email, SOON, |_| true).await?;
    assert_eq!(welcome.subject, "Confirmez votre adresse e-mail");
    let body = json!({"token": token(&stack, &welcome, "verify-email")?});
    let confirm = || api.post("/v1/email-verifications/confirm").json(&body);
    assert_eq!(confirm().send().await?.status, 204);
    confirm().send().await?.expect_problem(422, "invalid")?;

    let ask = api
        .post("/v1/password-resets")
        .header("host", "evil.example");
    let asked = ask.json(&json!({"email": email})).send().await?;
    assert_eq!(asked.status, 202, "{asked}");
    let subject = "Choisissez un nouveau mot de passe";
    let mail = mailbox
        .wait_for(&email, SOON, |mail| mail.subject == subject)
        .await?;
    let new = "the passphrase of the next day";
    let body = json!({"token": token(&stack, &mail, "reset-password")?, "new_password": new});
    let confirmed = api.post("/v1/password-resets/confirm").json(&body);
    assert_eq!(confirmed.send().await?.status, 204);
    let subject = "Votre mot de passe a été changé";
    mailbox
        .wait_for(&email, SOON, |mail| mail.subject == subject)
        .await?;

    let sign_in = |password: &str| {
        let body = json!({"email": email, "password": password});
        api.post("/v1/sessions").json(&body)
    };
    sign_in(old)
        .send()
        .await?
        .expect_problem(401, "bad-credentials")?;
    let session = sign_in(new).send().await?.expect(200)?;
    let access = session["access_token"].as_str().context("a token")?;
    let me = api
        .get("/v1/users/me")
        .token(access)
        .send()
        .await?
        .expect(200)?;
    assert_eq!(me["email_verified"], true);
    Ok(())
}

#[tokio::test]
async fn from_one_address_to_another() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let (api, mailbox) = (stack.gateway(), stack.mailbox());
    let user = stack.user_who_reads("fr", &[]).await?;
    let new = fresh_email("moved");
    let body = json!({"current_password": PASSWORD, "new_email": new});
    let wish = api.post("/v1/users/me/email").by(&user).if_match("*");
    let wished = wish.header("host", "evil.example").json(&body);
    assert_eq!(wished.send().await?.status, 202);
    let subject = "Confirmez votre nouvelle adresse e-mail";
    let mail = mailbox
        .wait_for(&new, SOON, |mail| mail.subject == subject)
        .await?;
    let body = json!({"token": token(&stack, &mail, "change-email")?});
    let confirm = api.post("/v1/email-changes/confirm").json(&body);
    assert_eq!(confirm.send().await?.status, 204);
    let subject = "Votre adresse e-mail a été changée";
    mailbox
        .wait_for(&user.email, SOON, |mail| mail.subject == subject)
        .await?;
    // What was told there is not told here, and the other way round.
    assert_eq!(mailbox.to(&new).await?.len(), 1);
    assert!(sign_in(api, &user.email).await?.is_none());
    assert!(sign_in(api, &new).await?.is_some());
    Ok(())
}
