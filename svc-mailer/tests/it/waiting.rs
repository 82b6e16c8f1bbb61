//! What is not known yet is waited for, and nobody else waits with it.

use uuid::Uuid;

use crate::records::{DEADLINE, World, event, notification_id, payment, user};

#[tokio::test]
async fn a_payment_may_come_before_its_user_and_its_event() -> anyhow::Result<()> {
    let world = World::new()?;
    let (early, event) = (user("en"), event());
    let waits = payment(early.user_id, event.event_id);
    world.payment(&waits).await?;
    // Somebody behind it in the same partition does not wait for a user who is not there.
    let known = user("en");
    world.user(&known).await?;
    world.event(&event).await?;
    world
        .payment(&payment(known.user_id, event.event_id))
        .await?;
    let mailbox = world.stack.mailbox();
    mailbox.wait_for(&known.email, DEADLINE, |_| true).await?;
    assert!(mailbox.to(&early.email).await?.is_empty());

    world.user(&early).await?;
    mailbox
        .wait_for(&early.email, DEADLINE, |mail| mail.says(&waits.number))
        .await?;
    Ok(())
}

#[tokio::test]
async fn the_newest_version_counts_in_whatever_order_they_come() -> anyhow::Result<()> {
    let world = World::new()?;
    let (old, event) = (user("en"), event());
    let mut new = old.clone();
    new.version = 2;
    new.email = e2e::users::fresh_email("newer");
    world.event(&event).await?;
    world.user(&new).await?;
    world.user(&old).await?;
    read_by_now(&world, old.user_id, event.event_id).await?;
    world.payment(&payment(old.user_id, event.event_id)).await?;
    let mailbox = world.stack.mailbox();
    mailbox.wait_for(&new.email, DEADLINE, |_| true).await?;
    assert!(mailbox.to(&old.email).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_erased_user_gets_no_mail() -> anyhow::Result<()> {
    let world = World::new()?;
    let (user, event) = (user("en"), event());
    world.event(&event).await?;
    world.user(&user).await?;
    world.erase_user(user.user_id).await?;
    read_by_now(&world, user.user_id, event.event_id).await?;
    let refused = payment(user.user_id, event.event_id);
    world.payment(&refused).await?;
    let failed = world.failed(notification_id(&refused)).await?;
    assert_eq!(failed, ("the recipient was erased".to_owned(), 0));
    assert!(world.stack.mailbox().to(&user.email).await?.is_empty());
    Ok(())
}

/// Waits until the mailer has read what was written about the user.
async fn read_by_now(world: &World, user_id: Uuid, event_id: Uuid) -> anyhow::Result<()> {
    let witness = world.witness_behind(user_id).await?;
    world.payment(&payment(witness.user_id, event_id)).await?;
    world
        .stack
        .mailbox()
        .wait_for(&witness.email, DEADLINE, |_| true)
        .await?;
    Ok(())
}
