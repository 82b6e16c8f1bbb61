//! Mails that bear a link which proves something.

use anyhow::Context as _;
use e2e::{Role, eventually};
use uuid::Uuid;

use crate::records::{DEADLINE, World, reset, user};

#[tokio::test]
async fn a_link_goes_out_once_and_stays_nowhere() -> anyhow::Result<()> {
    let world = World::new()?;
    let mailbox = world.stack.mailbox();
    for (locale, subject) in [
        ("en", "Choose a new password"),
        ("fr", "Choisissez un nouveau mot de passe"),
        ("de", "Choose a new password"),
    ] {
        let user = user(locale);
        world.user(&user).await?;
        let asked = reset(user.user_id, 600);
        let id = world.reset(&asked).await?;
        // The record comes again, as after a crash of the consumer.
        world.reset(&asked).await?;
        let mail = mailbox.wait_for(&user.email, DEADLINE, |_| true).await?;
        assert_eq!(mail.subject, subject);
        let link = format!("/reset-password#token={}", asked.token);
        assert!(mail.says(&link), "{mail:?}");
        assert!(
            mail.html
                .as_deref()
                .is_some_and(|html| html.contains(&link)),
            "{mail:?}"
        );

        let sent = world.sent(id).await?;
        assert_eq!(
            (sent.template.as_str(), sent.user_id),
            ("password-reset", Some(user.user_id))
        );
        assert_eq!((sent.order_id, sent.event_id), (None, None));
        let row = world.row(id).await?;
        assert!(
            row.contains("password-reset") && !row.contains(&asked.token),
            "{row}"
        );
        assert_eq!(mailbox.to(&user.email).await?.len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn the_history_shows_that_there_was_a_link_and_not_which() -> anyhow::Result<()> {
    let world = World::new()?;
    let (known, support) = (user("en"), world.stack.user(&[Role::Support]).await?);
    world.user(&known).await?;
    let asked = reset(known.user_id, 600);
    let id = world.reset(&asked).await?;
    let shown = eventually(DEADLINE, "the mail in the history", async || {
        let path = format!("/v1/notifications/{id}");
        let answer = world.stack.mailer().get(path).by(&support).send().await?;
        Ok((answer.body["status"] == "sent").then_some(answer))
    })
    .await?;
    assert!(!shown.text().contains(&asked.token), "{shown}");
    let message = shown.body["message"].as_str().unwrap_or_default();
    assert!(message.contains("[…]"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn a_link_that_died_while_it_waited_is_not_sent() -> anyhow::Result<()> {
    let world = World::new()?;
    // Nobody knows the user yet, so the mail waits, and longer than its link lives.
    let late = user("en");
    let id = world.reset(&reset(late.user_id, 3)).await?;
    let failed = world.failed(id).await?;
    assert_eq!(failed, ("the link has expired".to_owned(), 0));
    world.user(&late).await?;
    // One that is good goes out, and the dead one before it did not.
    let good = reset(late.user_id, 600);
    world.reset(&good).await?;
    let mailbox = world.stack.mailbox();
    mailbox
        .wait_for(&late.email, DEADLINE, |mail| mail.says(&good.token))
        .await?;
    assert_eq!(mailbox.to(&late.email).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_token_that_does_not_open_keeps_no_other_mail_waiting() -> anyhow::Result<()> {
    let world = World::new()?;
    // Nobody knows the two yet, so that both mails wait.
    let (broken, witness) = (user("en"), user("en"));
    let broken_id = world.reset(&reset(broken.user_id, 10)).await?;
    let good = reset(witness.user_id, 600);
    let good_id = world.reset(&good).await?;
    let session = world.database().await?;
    let cause = async |id: Uuid| {
        eventually(DEADLINE, "the row", async || {
            let select = "SELECT cause FROM notifications WHERE notification_id = ?";
            let rows = session.query_unpaged(select, (id,)).await?;
            let found = rows.into_rows_result()?.maybe_first_row::<(String,)>()?;
            Ok(found.map(|(cause,)| cause))
        })
        .await
    };
    let sealed = |cause: &str| -> anyhow::Result<String> {
        let cause: serde_json::Value = serde_json::from_str(cause)?;
        let token = cause["password_reset"]["sealed_token"].as_str();
        Ok(token.context("sealed_token")?.to_owned())
    };
    // Sealed for another row it opens as little as under another key.
    let cause_of_broken = cause(broken_id).await?;
    let foreign = sealed(&cause(good_id).await?)?;
    let swapped = cause_of_broken.replace(&sealed(&cause_of_broken)?, &foreign);
    session
        .query_unpaged(
            "UPDATE notifications SET cause = ? WHERE notification_id = ? IF EXISTS",
            (swapped, broken_id),
        )
        .await?;
    world.user(&broken).await?;
    world.user(&witness).await?;
    let mailbox = world.stack.mailbox();
    mailbox
        .wait_for(&witness.email, DEADLINE, |mail| mail.says(&good.token))
        .await?;

    let (reason, _) = world.failed(broken_id).await?;
    assert_eq!(reason, "the link has expired");
    assert!(mailbox.to(&broken.email).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_erased_user_gets_no_link() -> anyhow::Result<()> {
    let world = World::new()?;
    let gone = user("en");
    world.user(&gone).await?;
    world.erase_user(gone.user_id).await?;
    let witness = world.witness_behind(gone.user_id).await?;
    world.reset(&reset(witness.user_id, 600)).await?;
    let mailbox = world.stack.mailbox();
    mailbox.wait_for(&witness.email, DEADLINE, |_| true).await?;
    let id = world.reset(&reset(gone.user_id, 600)).await?;
    let (reason, _) = world.failed(id).await?;
    assert_eq!(reason, "the recipient was erased");
    assert!(mailbox.to(&gone.email).await?.is_empty());
    Ok(())
}
