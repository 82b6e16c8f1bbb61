//! GET /v1/notifications: to whom it shows what.

use e2e::{Role, User, eventually};
use serde_json::Value;
use uuid::Uuid;

use crate::records::{DEADLINE, World, event, notification_id, payment};

/// A buyer with one mail.
struct Case {
    world: World,
    buyer: User,
    event_id: Uuid,
    order_id: Uuid,
    id: Uuid,
}

impl Case {
    async fn new() -> anyhow::Result<Self> {
        let world = World::new()?;
        let buyer = world.stack.user_who_reads("fr", &[]).await?;
        let event = event();
        world.event(&event).await?;
        let payment = payment(buyer.id, event.event_id);
        world.payment(&payment).await?;
        let case = Self {
            id: notification_id(&payment),
            event_id: event.event_id,
            order_id: payment.order_id,
            buyer,
            world,
        };
        eventually(DEADLINE, "the mail in the history", async || {
            let path = format!("/v1/notifications/{}", case.id);
            let answer = case
                .world
                .stack
                .mailer()
                .get(path)
                .by(&case.buyer)
                .send()
                .await?;
            Ok((answer.status == 200 && answer.body["status"] == "sent").then_some(()))
        })
        .await?;
        Ok(case)
    }

    async fn list(&self, user: &User, query: &str) -> anyhow::Result<Vec<Value>> {
        let path = format!("/v1/notifications?{query}");
        let page = self
            .world
            .stack
            .mailer()
            .get(path)
            .by(user)
            .send()
            .await?
            .expect(200)?;
        let mut items = page["items"].as_array().cloned().unwrap_or_default();
        // Who registers gets a mail for that.
        items.retain(|item| item["template"] != "email-verification");
        Ok(items)
    }
}

#[tokio::test]
async fn a_buyer_sees_what_was_sent() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let items = case.list(&case.buyer, "").await?;
    assert_eq!(items.len(), 1);
    let item = &items[0];
    assert_eq!(item["id"], case.id.to_string());
    assert_eq!(item["type"], "email");
    assert_eq!(item["template"], "payment-confirmed");
    assert_eq!(item["language"], "fr");
    assert_eq!(item["recipients"], serde_json::json!([case.buyer.email]));
    assert_eq!(item["subject"], "Vos billets pour Nuit & Jour");
    assert!(
        item["message"]
            .as_str()
            .is_some_and(|text| text.contains("Commande O-")),
        "{item}"
    );
    assert_eq!(item["attempts"], 1);
    assert!(item["sent_at"].is_string());
    Ok(())
}

#[tokio::test]
async fn filters_find_and_leave_out() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let support = case.world.stack.user(&[Role::Support]).await?;
    let (order, event, buyer) = (case.order_id, case.event_id, &case.buyer);
    let found = [
        format!("order_id={order}"),
        format!("event_id={event}"),
        format!("recipient={}", buyer.id),
        format!("recipient={}", buyer.email),
        format!(
            "order_id={order}&event_id={event}&recipient={}&status=sent",
            buyer.id
        ),
    ];
    for query in &found {
        for reader in [buyer, &support] {
            // An address of somebody else is none of a buyer's business, and one's own is found by who one is.
            let items = case.list(reader, query).await?;
            assert_eq!(items.len(), 1, "{query}");
            assert_eq!(items[0]["id"], case.id.to_string(), "{query}");
        }
    }
    for query in [
        format!("order_id={order}&status=failed"),
        format!("order_id={}", Uuid::nil()),
        format!("order_id={order}&event_id={}", Uuid::nil()),
    ] {
        assert!(case.list(&support, &query).await?.is_empty(), "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn support_pages_through_everything() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let other = Case::new().await?;
    let support = case.world.stack.user(&[Role::Support]).await?;
    let mut missing = vec![case.id.to_string(), other.id.to_string()];
    let mut cursor = String::new();
    while !missing.is_empty() {
        let path = format!("/v1/notifications?limit=1&cursor={cursor}");
        let page = case
            .world
            .stack
            .mailer()
            .get(path)
            .by(&support)
            .send()
            .await?
            .expect(200)?;
        for item in page["items"].as_array().into_iter().flatten() {
            missing.retain(|id| item["id"] != **id);
        }
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        next.clone_into(&mut cursor);
    }
    assert!(missing.is_empty(), "not found: {missing:?}");
    Ok(())
}

#[tokio::test]
async fn nobody_sees_what_was_sent_to_others() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let stranger = case.world.stack.customer().await?;
    let mailer = case.world.stack.mailer();
    for query in [
        "".into(),
        format!("order_id={}", case.order_id),
        format!("event_id={}", case.event_id),
    ] {
        assert!(case.list(&stranger, &query).await?.is_empty(), "{query}");
    }
    let one = format!("/v1/notifications/{}", case.id);
    mailer
        .get(&one)
        .by(&stranger)
        .send()
        .await?
        .expect_problem(404, "not-found")?;
    let foreign = format!("/v1/notifications?recipient={}", case.buyer.id);
    mailer
        .get(foreign)
        .by(&stranger)
        .send()
        .await?
        .expect_problem(403, "forbidden")?;
    for path in [one.as_str(), "/v1/notifications"] {
        mailer
            .get(path)
            .send()
            .await?
            .expect_problem(401, "unauthenticated")?;
        mailer
            .get(path)
            .token("not.a.token")
            .send()
            .await?
            .expect_problem(401, "unauthenticated")?;
    }
    Ok(())
}

#[tokio::test]
async fn an_erased_person_is_gone_from_the_history() -> anyhow::Result<()> {
    let case = Case::new().await?;
    let support = case.world.stack.user(&[Role::Support]).await?;
    case.world.erase_user(case.buyer.id).await?;
    let path = format!("/v1/notifications/{}", case.id);
    eventually(DEADLINE, "the erasure", async || {
        let message = case
            .world
            .stack
            .mailer()
            .get(&path)
            .by(&support)
            .send()
            .await?
            .expect(200)?;
        let gone = message["recipients"] == serde_json::json!([])
            && message["subject"].is_null()
            && message["message"].is_null()
            && message["status"] == "sent";
        Ok(gone.then_some(()))
    })
    .await?;
    let by_address = format!("recipient={}", case.buyer.email);
    assert!(case.list(&support, &by_address).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn wrong_filters_are_named() -> anyhow::Result<()> {
    let world = World::new()?;
    let user = world.stack.customer().await?;
    for (query, pointer) in [
        ("status=lost", "?status"),
        ("order_id=1", "?order_id"),
        ("recipient=bob", "?recipient"),
        ("limit=0", "?limit"),
        ("cursor=x", "?cursor"),
        ("colour=red", "?colour"),
    ] {
        let path = format!("/v1/notifications?{query}");
        let answer = world.stack.mailer().get(path).by(&user).send().await?;
        let problem = answer.expect_problem(422, "invalid")?;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    Ok(())
}

#[tokio::test]
async fn nobody_but_svc_identity_may_ask_for_a_persons_messages() -> anyhow::Result<()> {
    let world = World::new()?;
    let (user, catalog) = (
        world.stack.customer().await?,
        world.stack.service_token().await?,
    );
    let path = format!("/internal/users/{}/notifications", user.id);
    let by_user = world.stack.mailer().get(&path).by(&user).send().await?;
    by_user.expect_problem(401, "unauthenticated")?;
    let by_catalog = world.stack.mailer().get(&path).token(&catalog);
    by_catalog.send().await?.expect_problem(403, "forbidden")?;
    let outside = world.stack.gateway().get(&path).by(&user).send().await?;
    outside.expect_problem(404, "not-found")?;
    Ok(())
}
