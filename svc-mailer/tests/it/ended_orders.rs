//! Orders that end without their buyers' doing: one mail each, which says what becomes of the money.

use mail_parser::MessageParser;
use platform::ids::derived_id;
use schemas::Money;
use schemas::checkout::{EndReason, OrderCancelled, OrderRefunded};
use schemas::dead::DeadLetter;
use schemas::mailer::NotificationSent;
use schemas::topics::{CHECKOUT_ORDERS, MAILER_NOTIFICATIONS, dead_letter_topic};

use crate::records::{DEADLINE, World, cancelled, event, refunded, user};

#[tokio::test]
async fn a_cancelled_event_is_told_once_to_each_buyer_in_his_language() -> anyhow::Result<()> {
    let world = World::new()?;
    let event = event();
    world.event(&event).await?;
    for (locale, subject, amount) in [
        ("en", "Cancelled: Nuit & Jour", "50.00 EUR"),
        ("fr", "Annulé : Nuit & Jour", "50,00 EUR"),
        ("es", "Cancelado: Nuit & Jour", "50,00 EUR"),
    ] {
        let buyer = user(locale);
        world.user(&buyer).await?;
        let order = refunded(buyer.user_id, event.event_id, EndReason::EventCancelled);
        for _ in 0..2 {
            world.refunded(&order).await?;
        }
        let mailbox = world.stack.mailbox();
        let mail = mailbox.wait_for(&buyer.email, DEADLINE, |_| true).await?;
        let source = mailbox.source(&mail).await?;
        let parsed = MessageParser::default().parse(&source).expect("a mail");
        assert_eq!(parsed.subject(), Some(subject));
        assert_eq!((parsed.text_body_count(), parsed.html_body_count()), (1, 1));
        let number = order.number.as_deref().expect("a number");
        for part in [parsed.body_text(0), parsed.body_html(0)] {
            let part = part.expect("both parts");
            assert!(part.contains(number) && part.contains(amount), "{part}");
        }
        let id = derived_id(order.order_id, &["event-cancelled"]);
        let mut topic = world.stack.records(MAILER_NOTIFICATIONS.name)?;
        let (_, sent) = topic.wait_for_key::<NotificationSent>(id, DEADLINE).await?;
        assert_eq!(sent.order_id, Some(order.order_id));
        assert_eq!(sent.event_id, Some(event.event_id));

        world.handled(CHECKOUT_ORDERS.name, order.order_id).await?;
        assert_eq!(mailbox.to(&buyer.email).await?.len(), 1);
    }
    Ok(())
}

/// The text of the only mail that says `number`.
async fn said_about(world: &World, email: &str, number: &str) -> anyhow::Result<String> {
    let mailbox = world.stack.mailbox();
    let mail = mailbox
        .wait_for(email, DEADLINE, |mail| mail.says(number))
        .await?;
    Ok(mail.text.unwrap_or_default())
}

#[tokio::test]
async fn money_goes_back_where_some_was_paid() -> anyhow::Result<()> {
    const NOTHING: &str = "there is nothing to pay back";
    let world = World::new()?;
    let (buyer, event) = (user("en"), event());
    world.user(&buyer).await?;
    world.event(&event).await?;
    let (user_id, event_id) = (buyer.user_id, event.event_id);

    let held = cancelled(user_id, event_id, EndReason::EventCancelled);
    let caught = OrderCancelled {
        payment_id: Some(held.order_id),
        ..cancelled(user_id, event_id, EndReason::EventCancelled)
    };
    let free = OrderRefunded {
        payment_id: None,
        total: Money {
            amount: 0,
            currency: "EUR".into(),
        },
        ..refunded(user_id, event_id, EndReason::EventCancelled)
    };
    let asked = refunded(user_id, event_id, EndReason::Asked);
    for order in [&held, &caught] {
        world.cancelled(order).await?;
    }
    for order in [&free, &asked] {
        world.refunded(order).await?;
    }
    for (number, says) in [
        (held.number, NOTHING),
        (caught.number, "We pay 50.00 EUR back"),
        (free.number, NOTHING),
        (asked.number, "We pay 50.00 EUR back"),
    ] {
        let number = number.expect("a number");
        let text = said_about(&world, &buyer.email, &number).await?;
        assert!(text.contains(says), "{text}");
    }
    let id = derived_id(asked.order_id, &["order-refunded"]);
    let mut topic = world.stack.records(MAILER_NOTIFICATIONS.name)?;
    let (_, sent) = topic.wait_for_key::<NotificationSent>(id, DEADLINE).await?;
    assert_eq!(sent.template, "order-refunded");
    Ok(())
}

#[tokio::test]
async fn what_the_buyer_did_and_what_was_before_reasons_is_not_told() -> anyhow::Result<()> {
    let world = World::new()?;
    let (buyer, event) = (user("en"), event());
    world.user(&buyer).await?;
    world.event(&event).await?;
    let (user_id, event_id) = (buyer.user_id, event.event_id);
    let unheard = [EndReason::Asked, EndReason::Unknown];
    for order in unheard.map(|reason| cancelled(user_id, event_id, reason)) {
        world.cancelled(&order).await?;
    }
    world
        .refunded(&OrderRefunded {
            number: None,
            reason: None,
            ..refunded(user_id, event_id, EndReason::Asked)
        })
        .await?;
    // Behind them in the same partition: when it is handled, they are.
    let last = cancelled(user_id, event_id, EndReason::EventCancelled);
    world.cancelled(&last).await?;
    world.handled(CHECKOUT_ORDERS.name, last.order_id).await?;
    said_about(&world, &buyer.email, &last.number.expect("a number")).await?;
    assert_eq!(world.stack.mailbox().to(&buyer.email).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_reason_without_a_number_is_a_dead_letter() -> anyhow::Result<()> {
    let world = World::new()?;
    let (buyer, event) = (user("en"), event());
    let dead = dead_letter_topic(CHECKOUT_ORDERS.name, "svc-mailer");
    let mut letters = world.stack.records_from_now(&dead)?;
    let order = OrderCancelled {
        number: None,
        ..cancelled(buyer.user_id, event.event_id, EndReason::EventCancelled)
    };
    world.cancelled(&order).await?;
    let (_, letter) = letters
        .wait_for_key::<DeadLetter>(order.order_id, DEADLINE)
        .await?;
    assert_eq!(letter.reason, "it has a reason and no number");
    Ok(())
}
