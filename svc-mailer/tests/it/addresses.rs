//! Addresses beside the present one: that which is wished for gets a link, and that of before is told.

use e2e::{Role, eventually};
use platform::clock::Timestamp;
use platform::ids::{derived_id, new_id};
use schemas::identity::{
    EmailChangeRequested, FormerEmail, NoticeKind, PasswordResetRequested, SecurityNotice,
    UserSnapshot, WishedEmail,
};
use uuid::Uuid;

use crate::records::{DEADLINE, World, reset, user};

/// Wants another address.
fn wishing(locale: &str) -> (UserSnapshot, WishedEmail) {
    let wished = WishedEmail {
        wish_id: new_id(),
        email: e2e::users::fresh_email("wished"),
    };
    let snapshot = UserSnapshot {
        wished_email: Some(wished.clone()),
        ..user(locale)
    };
    (snapshot, wished)
}

fn asked(user_id: Uuid, wish_id: Uuid, good_for_secs: i64) -> EmailChangeRequested {
    let now = Timestamp::now().as_micros();
    EmailChangeRequested {
        user_id,
        wish_id,
        token_id: new_id(),
        token: format!("t{}", new_id().simple()),
        requested_at: now,
        expires_at: now + good_for_secs * 1_000_000,
    }
}

#[tokio::test]
async fn a_link_for_another_address_goes_there_and_nowhere_else() -> anyhow::Result<()> {
    let world = World::new()?;
    let mailbox = world.stack.mailbox();
    for (locale, subject) in [
        ("en", "Please confirm your new e-mail address"),
        ("fr", "Confirmez votre nouvelle adresse e-mail"),
        ("es", "Confirma tu nueva dirección de correo"),
    ] {
        let (owner, wished) = wishing(locale);
        world.user(&owner).await?;
        let asked = asked(owner.user_id, wished.wish_id, 600);
        world.email_change(&asked).await?;
        let mail = mailbox.wait_for(&wished.email, DEADLINE, |_| true).await?;
        assert_eq!(mail.subject, subject);
        let link = format!("/change-email#token={}", asked.token);
        assert!(mail.says(&link) && !mail.says("Zoë"), "{mail:?}");
        assert!(mailbox.to(&owner.email).await?.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_link_for_another_wish_than_the_one_that_is_known_goes_nowhere() -> anyhow::Result<()> {
    let world = World::new()?;
    let (owner, wished) = wishing("en");
    world.user(&owner).await?;
    let asked = asked(owner.user_id, new_id(), 3);
    world.email_change(&asked).await?;
    let id = derived_id(asked.token_id, &["email-change"]);
    let failed = world.failed(id).await?;
    assert_eq!(failed, ("the link has expired".to_owned(), 0));
    for email in [&owner.email, &wished.email] {
        assert!(world.stack.mailbox().to(email).await?.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_change_of_address_is_told_at_the_one_before_whichever_record_comes_first()
-> anyhow::Result<()> {
    let world = World::new()?;
    let mailbox = world.stack.mailbox();
    for notice_first in [true, false] {
        let owner = user("es");
        let at = Timestamp::now_millis().as_micros();
        let former = FormerEmail {
            email: owner.email.clone(),
            until: at,
        };
        let moved = UserSnapshot {
            version: 2,
            email: e2e::users::fresh_email("moved"),
            former_emails: Some(vec![former]),
            ..owner.clone()
        };
        let notice = SecurityNotice {
            notice_id: new_id(),
            user_id: owner.user_id,
            kind: NoticeKind::EmailChanged,
            at,
        };
        world.user(&owner).await?;
        if notice_first {
            world.notice(&notice).await?;
            world.user(&moved).await?;
        } else {
            world.user(&moved).await?;
            world.notice(&notice).await?;
        }
        let mail = mailbox.wait_for(&owner.email, DEADLINE, |_| true).await?;
        assert_eq!(mail.subject, "Se ha cambiado tu dirección de correo");
        assert!(mailbox.to(&moved.email).await?.is_empty());
        let id = derived_id(notice.notice_id, &["email-changed"]);
        assert_eq!(world.sent(id).await?.template, "email-changed");
    }
    Ok(())
}

#[tokio::test]
async fn a_link_to_a_new_password_does_not_go_to_the_address_of_before() -> anyhow::Result<()> {
    let world = World::new()?;
    let mailbox = world.stack.mailbox();
    let owner = user("en");
    let moved = UserSnapshot {
        version: 2,
        email: e2e::users::fresh_email("moved"),
        ..owner.clone()
    };
    let reset_at = |user_version| PasswordResetRequested {
        user_version,
        ..reset(owner.user_id, 600)
    };
    // Records of before name no version, and this one shows that the address of before is known.
    let (first, second) = (reset_at(None), reset_at(Some(2)));
    world.user(&owner).await?;
    world.reset(&first).await?;
    mailbox
        .wait_for(&owner.email, DEADLINE, |mail| mail.says(&first.token))
        .await?;

    // Asked for behind the change, and read before it.
    let id = world.reset(&second).await?;
    let support = world.stack.user(&[Role::Support]).await?;
    eventually(DEADLINE, "the mail to wait", async || {
        let path = format!("/v1/notifications/{id}");
        let answer = world.stack.mailer().get(path).by(&support).send().await?;
        Ok((answer.body["status"] == "queued").then_some(()))
    })
    .await?;
    world.user(&moved).await?;
    mailbox
        .wait_for(&moved.email, DEADLINE, |mail| mail.says(&second.token))
        .await?;
    assert_eq!(mailbox.to(&owner.email).await?.len(), 1);
    assert_eq!(mailbox.to(&moved.email).await?.len(), 1);
    Ok(())
}
