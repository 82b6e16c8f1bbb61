//! svc-checkout dies, or the log stands still, while money is on its way.

use anyhow::ensure;
use e2e::control::stack_command;
use e2e::wait::{SOON, eventually};

use crate::service::{PRICE, Shop};

#[tokio::test]
async fn a_kill_between_charge_and_record_loses_no_money() -> anyhow::Result<()> {
    Shop::open(async |shop| {
        let charged = shop.order().await?;
        let begun = shop.order().await?;
        let (first, second) = (shop.pay(charged, "pm_lost"), shop.pay(begun, "pm_paid"));
        // It dies while it waits for the answer, so these calls may end in any way.
        let lost = tokio::spawn(first.send());
        shop.fake.has_taken(charged, PRICE).await?;
        shop.fake.ledger().hang("create");
        let unnoted = tokio::spawn(second.clone().send());
        eventually(SOON, "an intent that is not noted", async || {
            Ok((shop.fake.ledger().statuses(begun).len() == 1).then_some(()))
        })
        .await?;
        shop.crash().await?;
        lost.abort();
        unnoted.abort();

        shop.becomes(charged, "paid").await?;
        assert_eq!(shop.fake.ledger().money(charged), (PRICE, 0));
        assert_eq!(shop.records(charged).await?, (1, 0, 0));

        // Nobody knows how that buyer wanted to pay: it is made impossible, and he may try again.
        eventually(SOON * 2, "the open attempt to be voided", async || {
            Ok((shop.records(begun).await?.1 == 1).then_some(()))
        })
        .await?;
        assert_eq!(shop.fake.ledger().statuses(begun), ["canceled"]);
        second
            .send()
            .await?
            .expect_problem(402, "payment-declined")?;
        shop.pay(begun, "pm_paid").send().await?.expect(200)?;
        assert_eq!(shop.fake.ledger().money(begun), (PRICE, 0));
        assert_eq!(shop.records(begun).await?, (1, 1, 0));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_webhook_is_taken_when_the_log_has_it_and_not_before() -> anyhow::Result<()> {
    Shop::open(async |shop| {
        let order = shop.order().await?;
        let call = shop.pay(order, "pm_lost");
        let paying = tokio::spawn(call.clone().send());
        shop.fake.has_taken(order, PRICE).await?;
        let intent = shop.intent(order)?;
        stack_command("freeze", "kafka").await?;
        let told = shop.fake.webhook(&intent, "payment_intent.succeeded").await;
        stack_command("thaw", "kafka").await?;
        told?.expect_problem(503, "unavailable")?;

        // Stripe repeats until it is taken.
        eventually(SOON * 2, "the webhook to be taken", async || {
            let told = shop.fake.webhook(&intent, "payment_intent.succeeded");
            Ok((told.await?.status == 200).then_some(()))
        })
        .await?;
        ensure!(
            shop.records(order).await?.0 == 1,
            "taken and not in the log"
        );
        paying.abort();
        shop.becomes(order, "paid").await?;
        call.send().await?.expect(200)?;
        assert_eq!(shop.fake.ledger().money(order), (PRICE, 0));
        assert_eq!(shop.records(order).await?, (1, 0, 0));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn while_stripe_does_not_say_the_end_is_pending() -> anyhow::Result<()> {
    Shop::open(async |shop| {
        let order = shop.order().await?;
        shop.fake.ledger().fail("show", 503, 1_000);
        let call = shop.pay(order, "pm_lost");
        let pending = call.clone().send().await?;
        pending.expect_problem(503, "payment-pending")?;
        // While it is open there is no other payment and no cancelling.
        let second = shop.pay(order, "pm_paid").send().await?;
        second.expect_problem(409, "payment-in-progress")?;
        let cancel = format!("/v1/orders/{order}/cancel");
        let cancel = shop.stack.checkout().post(cancel).by(&shop.buyer);
        let cancel = cancel.send().await?;
        cancel.expect_problem(409, "payment-in-progress")?;
        shop.fake.ledger().heal();
        shop.becomes(order, "paid").await?;
        let repeated = call.send().await?.expect(200)?;
        assert_eq!(repeated["status"], "paid");
        assert_eq!(shop.fake.ledger().money(order), (PRICE, 0));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn money_that_is_taken_while_the_log_stands_still_is_pending_and_then_paid()
-> anyhow::Result<()> {
    Shop::open(async |shop| {
        let order = shop.order().await?;
        let call = shop.pay(order, "pm_held");
        let paying = tokio::spawn(call.clone().send());
        shop.fake.has_taken(order, PRICE).await?;
        stack_command("freeze", "kafka").await?;
        // The money is there, and the box office cannot be told.
        shop.fake.go_on();
        let told = paying.await;
        stack_command("thaw", "kafka").await?;
        told??.expect_problem(503, "payment-pending")?;

        eventually(SOON * 2, "the same key to tell the end", async || {
            let repeated = call.clone().send().await?;
            Ok((repeated.status == 200).then_some(()))
        })
        .await?;
        shop.becomes(order, "paid").await?;
        assert_eq!(shop.fake.ledger().statuses(order), ["succeeded"]);
        assert_eq!(shop.fake.ledger().money(order), (PRICE, 0));
        assert_eq!(shop.records(order).await?, (1, 0, 0));
        Ok(())
    })
    .await
}
