//! A confirmed payment is one mail.

use e2e::Mail;
use mail_parser::MessageParser;
use schemas::Money;
use schemas::checkout::UsedVoucher;
use schemas::dead::DeadLetter;
use schemas::mailer::NotificationSent;
use schemas::topics::{CHECKOUT_PAYMENTS, MAILER_NOTIFICATIONS, dead_letter_topic};

use crate::records::{DEADLINE, World, event, notification_id, payment, user};

async fn mail_in(
    locale: &str,
) -> anyhow::Result<(World, Mail, schemas::checkout::PaymentConfirmed)> {
    let world = World::new()?;
    let (user, event) = (user(locale), event());
    world.user(&user).await?;
    world.event(&event).await?;
    let payment = payment(user.user_id, event.event_id);
    world.payment(&payment).await?;
    let mail = world
        .stack
        .mailbox()
        .wait_for(&user.email, DEADLINE, |_| true)
        .await?;
    Ok((world, mail, payment))
}

#[tokio::test]
async fn a_paid_order_is_mailed_in_the_buyers_language() -> anyhow::Result<()> {
    for (locale, subject, date) in [
        (
            "en",
            "Your tickets for Nuit & Jour",
            "Saturday, 1 May 2027 at 20:00 (Europe/Paris)",
        ),
        (
            "fr",
            "Vos billets pour Nuit & Jour",
            "samedi 1er mai 2027 à 20:00 (Europe/Paris)",
        ),
    ] {
        let (world, mail, payment) = mail_in(locale).await?;
        let source = world.stack.mailbox().source(&mail).await?;
        let parsed = MessageParser::default().parse(&source).expect("a mail");
        assert_eq!(parsed.subject(), Some(subject));
        let id = parsed.message_id().expect("a Message-ID");
        assert!(
            id.starts_with(&format!("{}@", notification_id(&payment))),
            "{id}"
        );
        assert!(parsed.date().is_some());
        let text = parsed.body_text(0).expect("a text part");
        let html = parsed.body_html(0).expect("an HTML part");
        assert_eq!((parsed.text_body_count(), parsed.html_body_count()), (1, 1));
        let link = format!("/orders/{}", payment.order_id);
        for expected in [payment.number.as_str(), &link, date, "Zoë <b>Müller</b>"] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        for expected in [
            payment.number.as_str(),
            &link,
            "Zoë &lt;b&gt;Müller&lt;",
            "Nuit &amp; Jour",
        ] {
            assert!(html.contains(expected), "{expected} in {html}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_discount_is_told_with_its_voucher() -> anyhow::Result<()> {
    let world = World::new()?;
    let (user, event) = (user("en"), event());
    world.user(&user).await?;
    world.event(&event).await?;
    let mut paid = payment(user.user_id, event.event_id);
    paid.total.amount = 4_500;
    paid.voucher = Some(UsedVoucher {
        code: "EARLY-10".into(),
        version: 1,
        max_uses: 10,
        discount: Money {
            amount: 500,
            currency: "EUR".into(),
        },
    });
    world.payment(&paid).await?;
    let mailbox = world.stack.mailbox();
    let mail = mailbox.wait_for(&user.email, DEADLINE, |_| true).await?;
    let told = "Voucher EARLY-10: -5.00 EUR\nTotal: 45.00 EUR";
    assert!(mail.says(told), "{mail:?}");
    Ok(())
}

#[tokio::test]
async fn a_mail_that_is_out_is_announced() -> anyhow::Result<()> {
    let (world, _, payment) = mail_in("es").await?;
    let id = notification_id(&payment);
    let mut topic = world.stack.records(MAILER_NOTIFICATIONS.name)?;
    let (seen, sent) = topic.wait_for_key::<NotificationSent>(id, DEADLINE).await?;
    assert_eq!(seen.headers["ce_source"], "/svc-mailer");
    assert_eq!(sent.order_id, Some(payment.order_id));
    assert_eq!(
        (sent.template.as_str(), sent.attempts),
        ("payment-confirmed", 1)
    );
    Ok(())
}

#[tokio::test]
async fn a_record_that_comes_again_sends_nothing() -> anyhow::Result<()> {
    let world = World::new()?;
    let (user, event) = (user("en"), event());
    world.user(&user).await?;
    world.event(&event).await?;
    let first = payment(user.user_id, event.event_id);
    world.payment(&first).await?;
    world.payment(&first).await?;
    world
        .handled(CHECKOUT_PAYMENTS.name, first.order_id)
        .await?;
    let mails = world.stack.mailbox().to(&user.email).await?;
    assert_eq!(mails.len(), 1);
    assert!(mails[0].says(&first.number), "{mails:?}");
    Ok(())
}

#[tokio::test]
async fn poison_goes_to_the_dead_letters_and_the_partition_goes_on() -> anyhow::Result<()> {
    let world = World::new()?;
    let (user, event) = (user("en"), event());
    world.user(&user).await?;
    world.event(&event).await?;
    let dead = dead_letter_topic(CHECKOUT_PAYMENTS.name, "svc-mailer");
    let mut letters = world.stack.records_from_now(&dead)?;
    let key = world.poison(event.event_id).await?;
    let behind = payment(user.user_id, event.event_id);
    world.payment(&behind).await?;
    let (_, letter) = letters.wait_for_key::<DeadLetter>(key, DEADLINE).await?;
    assert_eq!(letter.topic, CHECKOUT_PAYMENTS.name);
    assert_eq!(letter.payload.as_deref(), Some(b"poison".as_slice()));
    world
        .stack
        .mailbox()
        .wait_for(&user.email, DEADLINE, |_| true)
        .await?;
    Ok(())
}
