//! What people hear of their accounts.

use platform::clock::Timestamp;
use platform::ids::{derived_id, new_id};
use schemas::identity::{NoticeKind, SecurityNotice};

use crate::records::{DEADLINE, World, user};

#[tokio::test]
async fn another_password_is_told_once_in_the_owners_language() -> anyhow::Result<()> {
    let world = World::new()?;
    let mailbox = world.stack.mailbox();
    for (locale, subject) in [
        ("en", "Your password was changed"),
        ("fr", "Votre mot de passe a été changé"),
        ("es", "Se ha cambiado tu contraseña"),
    ] {
        let owner = user(locale);
        world.user(&owner).await?;
        let notice = |kind| SecurityNotice {
            notice_id: new_id(),
            user_id: owner.user_id,
            kind,
            at: Timestamp::now().as_micros(),
        };
        // What a newer svc-identity may say is nothing yet.
        world.notice(&notice(NoticeKind::Unknown)).await?;
        let changed = notice(NoticeKind::PasswordChanged);
        for _ in 0..2 {
            world.notice(&changed).await?;
        }
        let mail = mailbox.wait_for(&owner.email, DEADLINE, |_| true).await?;
        assert_eq!(mail.subject, subject);
        // Behind the repetition in the same partition: when it is told, that was looked at.
        let last = notice(NoticeKind::PasswordChanged);
        world.notice(&last).await?;
        let id = derived_id(last.notice_id, &["password-changed"]);
        let sent = world.sent(id).await?;
        assert_eq!(
            (sent.template.as_str(), sent.user_id),
            ("password-changed", Some(owner.user_id))
        );
        assert_eq!(mailbox.to(&owner.email).await?.len(), 2);
    }
    Ok(())
}
