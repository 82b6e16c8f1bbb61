//! Webhooks from anybody about anything. No token is sent: the signature is the proof.

use e2e::Answer;
use platform::ids::new_id;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fake::{WEBHOOK_SECRET, event, now_seconds, signed};
use crate::service::{PRICE, Shop};

/// An event that was made up, well signed.
async fn tell(shop: &Shop, kind: &str, object: &Value) -> anyhow::Result<Answer> {
    shop.fake.event(&event(kind, object)).await
}

fn succeeded(intent: &str, order: Uuid, payment: Uuid) -> Value {
    json!({"id": intent, "object": "payment_intent", "status": "succeeded", "amount": PRICE,
        "amount_received": PRICE, "currency": "eur",
        "metadata": {"order_id": order, "payment_id": payment}})
}

pub(crate) async fn scenarios(shop: &Shop) -> anyhow::Result<()> {
    futures::try_join!(not_believed(shop), not_ours(shop))?;
    Ok(())
}

async fn not_believed(shop: &Shop) -> anyhow::Result<()> {
    let (gateway, now) = (shop.stack.gateway(), now_seconds());
    let body = event(
        "payment_intent.succeeded",
        &succeeded("pi_x", new_id(), new_id()),
    );
    for (call, wrong) in [
        (
            signed(gateway, &body, now, "whsec_of_somebody"),
            "another secret",
        ),
        (signed(gateway, &body, now - 302, WEBHOOK_SECRET), "too old"),
        (
            signed(gateway, &body, now, WEBHOOK_SECRET).header("stripe-signature", "v1=00"),
            "no time",
        ),
        (signed(gateway, "{", now, WEBHOOK_SECRET), "no event"),
        (
            gateway
                .post("/v1/payments/webhooks/stripe")
                .body("application/json", "{}"),
            "unsigned",
        ),
    ] {
        let refused = call.send().await?.expect_problem(400, "malformed");
        refused.map_err(|error| error.context(wrong))?;
    }
    let old = signed(gateway, &body, now - 302, WEBHOOK_SECRET)
        .send()
        .await?;
    let detail = old.expect_problem(400, "malformed")?["detail"].to_string();
    assert!(detail.contains("older"), "{detail}");
    let large = "x".repeat(300 * 1024);
    let refused = signed(gateway, &large, now, WEBHOOK_SECRET).send().await?;
    refused.expect_problem(413, "too-large")?;
    Ok(())
}

/// Well signed, and nothing to us: 200, else Stripe would repeat it for days.
async fn not_ours(shop: &Shop) -> anyhow::Result<()> {
    let order = shop.order().await?;
    for (kind, object) in [
        ("customer.created", json!({"id": "cus_1"})),
        (
            "payment_intent.succeeded",
            json!({"id": "pi_x", "status": "succeeded", "currency": "eur"}),
        ),
        (
            "payment_intent.succeeded",
            succeeded("pi_x", new_id(), new_id()),
        ),
        // An order that there is, and a payment that is none of its attempts.
        (
            "payment_intent.succeeded",
            succeeded("pi_x", order, new_id()),
        ),
    ] {
        tell(shop, kind, &object).await?.expect(200)?;
    }
    assert_eq!(shop.show(order).await?["status"], "reserved");

    // Of the intent that is open, by the name of another: what was not noted is not believed.
    shop.pay(order, "pm_paid").send().await?.expect(200)?;
    assert_eq!(shop.records(order).await?, (1, 0, 0));
    assert_eq!(shop.fake.ledger().money(order), (PRICE, 0));
    Ok(())
}
