//! What is not known yet is waited for, and nobody else waits with it.

use platform::ids::new_id;
use platform::kafka::partition_of;
use schemas::mailer::NotificationFailed;
use schemas::topics::MAILER_NOTIFICATIONS;
use uuid::Uuid;

use crate::records::{DEADLINE, TABLE_PARTITIONS, World, event, notification_id, payment, user};

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
    let mut topic = world.stack.records(MAILER_NOTIFICATIONS.name)?;
    let id = notification_id(&refused);
    let (_, failed) = topic
        .wait_for_key::<NotificationFailed>(id, DEADLINE)
        .await?;
    assert_eq!(
        (failed.reason.as_str(), failed.attempts),
        ("the recipient was erased", 0)
    );
    assert!(world.stack.mailbox().to(&user.email).await?.is_empty());
    Ok(())
}

/// Waits until the mailer has read what was written about the user: a witness behind it in the same partition has
/// got a mail.
async fn read_by_now(world: &World, user_id: Uuid, event_id: Uuid) -> anyhow::Result<()> {
    let mut witness = user("en");
    while partition_of(witness.user_id, TABLE_PARTITIONS) != partition_of(user_id, TABLE_PARTITIONS)
    {
        witness.user_id = new_id();
    }
    world.user(&witness).await?;
    world.payment(&payment(witness.user_id, event_id)).await?;
    world
        .stack
        .mailbox()
        .wait_for(&witness.email, DEADLINE, |_| true)
        .await?;
    Ok(())
}
