//! svc-checkout itself with the stand-in as its provider, on the real stack. These tests take the stack's svc-checkout for
//! themselves, take turns, and leave it as it was.

use anyhow::{Context as _, ensure};
use e2e::control::{stack, stack_command, stack_command_with};
use e2e::orders::place;
use e2e::users::id_of;
use e2e::wait::{SOON, eventually};
use e2e::{Call, PublishedEvent, Role, Stack, TicketType, User};
use futures::FutureExt as _;
use futures::future::try_join_all;
use platform::ids::new_id;
use schemas::checkout::{PaymentConfirmed, PaymentFailed, PaymentRefunded};
use schemas::topics::CHECKOUT_PAYMENTS;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::fake::{Fake, KEY, WEBHOOK_SECRET};

const CHECKOUT: &str = "svc-checkout";
/// There is one svc-checkout.
static TURN: Mutex<()> = Mutex::const_new(());

/// An event on sale in a shop that is paid through the stand-in.
pub(crate) struct Shop {
    pub(crate) stack: Stack,
    pub(crate) fake: Fake,
    event: PublishedEvent,
    pub(crate) organizer: User,
    pub(crate) buyer: User,
}

impl Shop {
    /// Opens the shop, does `scenario` in it, and closes it whatever came of it.
    pub(crate) async fn open(
        scenario: impl AsyncFnOnce(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let _turn = TURN.lock().await;
        let stack = Stack::from_env();
        let fake = Fake::start(Some(stack.gateway().clone())).await?;
        let opened = async {
            start(&fake).await?;
            let organizer = stack.user(&[Role::Customer, Role::Organizer]).await?;
            let types = [TicketType::general(200)];
            let event = stack.published_event(&organizer, &types).await?;
            let buyer = stack.customer().await?;
            let shop = Self {
                stack,
                fake,
                event,
                organizer,
                buyer,
            };
            scenario(&shop).await?;
            shop.audit().await
        };
        let came_of_it = opened.await;
        stack_command("start", CHECKOUT).await?;
        came_of_it
    }

    /// The auditor finds nothing, from the records and from what was noted of Stripe's answers.
    async fn audit(&self) -> anyhow::Result<()> {
        let event = self.event.id.to_string();
        let audit = stack(&["run", "checkout", "audit", "--event", &event]).await?;
        let said = String::from_utf8_lossy(&audit.stdout);
        ensure!(audit.status.success(), "{said}");
        ensure!(said.contains("our notes of what Stripe said"), "{said}");
        Ok(())
    }

    /// svc-checkout dies and comes back.
    pub(crate) async fn crash(&self) -> anyhow::Result<()> {
        stack_command("kill", CHECKOUT).await?;
        start(&self.fake).await
    }

    /// Holds a ticket.
    pub(crate) async fn order(&self) -> anyhow::Result<Uuid> {
        let lines = [(self.event.ticket_types[0], 1)];
        let order = place(self.stack.gateway(), &self.buyer, self.event.id, &lines);
        id_of(&order.send().await?.expect(201)?)
    }

    /// Pays an order, past the gateway: it would give up before a restart is over.
    pub(crate) fn pay(&self, order: Uuid, payment_method: &str) -> Call {
        self.pay_with(
            order,
            &json!({"type": "stripe", "payment_method": payment_method}),
        )
    }

    fn pay_with(&self, order: Uuid, method: &Value) -> Call {
        let checkout = self.stack.checkout();
        checkout
            .post(format!("/v1/orders/{order}/payment"))
            .by(&self.buyer)
            .idempotency_key(&new_id().to_string())
            .json(&json!({ "method": method }))
    }

    pub(crate) async fn show(&self, order: Uuid) -> anyhow::Result<Value> {
        let shown = self.stack.checkout().get(format!("/v1/orders/{order}"));
        shown.by(&self.buyer).send().await?.expect(200)
    }

    pub(crate) async fn becomes(&self, order: Uuid, status: &str) -> anyhow::Result<Value> {
        eventually(SOON, &format!("the order to be {status}"), async || {
            let shown = self.show(order).await?;
            Ok((shown["status"] == status).then_some(shown))
        })
        .await
    }

    /// How many records of each kind an order has: confirmed, failed, refunded.
    pub(crate) async fn records(&self, order: Uuid) -> anyhow::Result<(usize, usize, usize)> {
        let all = self.stack.all_records(CHECKOUT_PAYMENTS.name).await?;
        let key = order.to_string();
        let of_order: Vec<_> = all.iter().filter(|record| record.key == key).collect();
        Ok((
            of_order
                .iter()
                .filter(|r| r.is::<PaymentConfirmed>())
                .count(),
            of_order.iter().filter(|r| r.is::<PaymentFailed>()).count(),
            of_order
                .iter()
                .filter(|r| r.is::<PaymentRefunded>())
                .count(),
        ))
    }

    /// The intent of an order's only attempt.
    pub(crate) fn intent(&self, order: Uuid) -> anyhow::Result<String> {
        let mut intents = self.fake.ledger().of_order(order);
        ensure!(intents.len() == 1, "{intents:?}");
        Ok(intents.pop().context("one")?.0)
    }
}

async fn start(fake: &Fake) -> anyhow::Result<()> {
    // Two secrets: as on the day on which one replaces the other.
    let secrets = format!("whsec_of_before,{WEBHOOK_SECRET}");
    let variables = [
        ("SVC_CHECKOUT__CHECKOUT_PAYMENT_PROVIDER", "stripe"),
        ("SVC_CHECKOUT__CHECKOUT_STRIPE_API_URL", fake.url.as_str()),
        ("SVC_CHECKOUT__CHECKOUT_STRIPE_SECRET_KEY", KEY),
        ("SVC_CHECKOUT__CHECKOUT_STRIPE_WEBHOOK_SECRETS", &secrets),
    ];
    stack_command_with("start", CHECKOUT, &variables).await
}

pub(crate) const PRICE: i64 = 2_500;

#[tokio::test]
async fn orders_are_paid_by_stripe() -> anyhow::Result<()> {
    Shop::open(async |shop| {
        let all = [
            paid(shop, "pm_paid").boxed(),
            // Charged, and the answer is lost: the job asks.
            paid(shop, "pm_lost").boxed(),
            paid(shop, "pm_500").boxed(),
            paid(shop, "pm_webhook_first").boxed(),
            declined_and_paid_with_another_card(shop, "pm_declined").boxed(),
            declined_and_paid_with_another_card(shop, "pm_3ds").boxed(),
            declined_and_paid_with_another_card(shop, "pm_no_such").boxed(),
            paid_once_by_twenty_requests(shop).boxed(),
            paid_back(shop).boxed(),
            not_taken(shop).boxed(),
            crate::webhooks::scenarios(shop).boxed(),
        ];
        try_join_all(all).await?;
        Ok(())
    })
    .await
}

async fn paid(shop: &Shop, payment_method: &str) -> anyhow::Result<()> {
    let order = shop.order().await?;
    let paid = shop.pay(order, payment_method).send().await?;
    let paid = paid.expect(200).context(payment_method.to_owned())?;
    assert_eq!(paid["status"], "paid", "{payment_method}");
    assert_eq!(paid["tickets"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        shop.fake.ledger().money(order),
        (PRICE, 0),
        "{payment_method}"
    );
    assert_eq!(shop.records(order).await?, (1, 0, 0), "{payment_method}");
    // Stripe says it late, and twice.
    let intent = shop.intent(order)?;
    for _ in 0..2 {
        let told = shop.fake.webhook(&intent, "payment_intent.succeeded");
        told.await?.expect(200)?;
    }
    assert_eq!(shop.show(order).await?, paid);
    assert_eq!(shop.records(order).await?, (1, 0, 0), "{payment_method}");
    Ok(())
}

async fn declined_and_paid_with_another_card(
    shop: &Shop,
    payment_method: &str,
) -> anyhow::Result<()> {
    let order = shop.order().await?;
    let first = shop.pay(order, payment_method);
    for _ in 0..2 {
        let said = first.clone().send().await?;
        said.expect_problem(402, "payment-declined")
            .context(payment_method.to_owned())?;
    }
    assert_eq!(shop.fake.ledger().money(order), (0, 0));
    let refused = shop.intent(order)?;
    shop.pay(order, "pm_paid").send().await?.expect(200)?;
    assert_eq!(
        shop.fake.ledger().statuses(order),
        ["canceled", "succeeded"]
    );
    // The end of the first attempt is told after that of the second.
    let told = shop.fake.webhook(&refused, "payment_intent.canceled");
    told.await?.expect(200)?;
    assert_eq!(shop.show(order).await?["status"], "paid");
    assert_eq!(shop.fake.ledger().money(order), (PRICE, 0));
    assert_eq!(shop.records(order).await?, (1, 1, 0));
    Ok(())
}

async fn paid_once_by_twenty_requests(shop: &Shop) -> anyhow::Result<()> {
    let order = shop.order().await?;
    let call = shop.pay(order, "pm_paid");
    let calls = (0..20).map(|_| call.clone().send());
    for answer in try_join_all(calls).await? {
        assert_eq!(answer.expect(200)?["status"], "paid");
    }
    assert_eq!(shop.fake.ledger().statuses(order), ["succeeded"]);
    assert_eq!(shop.records(order).await?, (1, 0, 0));
    Ok(())
}

async fn paid_back(shop: &Shop) -> anyhow::Result<()> {
    let order = shop.order().await?;
    shop.pay(order, "pm_paid").send().await?.expect(200)?;
    let intent = shop.intent(order)?;
    // The first try fails at the bank, days later in life.
    shop.fake.ledger().refund_ends.push_back("failed");
    let checkout = shop.stack.checkout();
    let refund = checkout.post(format!("/v1/orders/{order}/refund"));
    let refund = refund.by(&shop.organizer).idempotency_key("refund");
    for _ in 0..2 {
        refund.clone().send().await?.expect(200)?;
    }
    eventually(SOON, "the money to go back", async || {
        Ok((shop.records(order).await?.2 == 1).then_some(()))
    })
    .await?;
    assert_eq!(shop.fake.ledger().money(order), (PRICE, PRICE));
    // Stripe says only now that it was paid.
    let told = shop.fake.webhook(&intent, "payment_intent.succeeded");
    told.await?.expect(200)?;
    assert_eq!(shop.show(order).await?["status"], "refunded");
    assert_eq!(shop.fake.ledger().money(order), (PRICE, PRICE));
    assert_eq!(shop.records(order).await?, (1, 0, 1));
    Ok(())
}

async fn not_taken(shop: &Shop) -> anyhow::Result<()> {
    let order = shop.order().await?;
    for (method, pointer) in [
        (
            json!({"type": "simulated", "card": "4242424242424242"}),
            "/method/type",
        ),
        (
            json!({"type": "stripe", "payment_method": "4242424242424242"}),
            "/method/payment_method",
        ),
        (
            json!({"type": "stripe", "payment_method": "pm_1/../x"}),
            "/method/payment_method",
        ),
        (json!({"type": "stripe"}), "/method/payment_method"),
        (
            json!({"type": "stripe", "payment_method": "pm_1", "card": "1"}),
            "/method/card",
        ),
    ] {
        let refused = shop.pay_with(order, &method).send().await?;
        let refused = refused.expect_problem(422, "invalid")?;
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{method}");
    }
    assert!(
        shop.fake.ledger().statuses(order).is_empty(),
        "Stripe was not asked"
    );
    // None of it was an attempt, of which there are five.
    shop.pay(order, "pm_paid").send().await?.expect(200)?;
    Ok(())
}
