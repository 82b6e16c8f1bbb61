//! Placing, repeating, reading.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use e2e::orders::{order_body, place};
use e2e::users::id_of;
use e2e::{Role, Stack, TicketType, eventually, wait::SOON};
use futures::future::try_join_all;
use platform::kafka::partition_of;
use schemas::checkout::{OrderReserved, StockLevel};
use schemas::topics::{CHECKOUT_ORDERS, CHECKOUT_STOCK};
use serde_json::json;

use crate::Scene;

#[tokio::test]
async fn fifty_repeats_at_once_are_one_order() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(100)]).await?;
    let body = order_body(scene.event.id, &[(scene.event.ticket_types[0], 2)]);
    let calls = (0..50).map(|_| {
        scene
            .stack
            .checkout()
            .post("/v1/orders")
            .by(&scene.buyer)
            .idempotency_key("the-same")
            .json(&body)
            .send()
    });
    let mut ids = HashSet::new();
    for answer in try_join_all(calls).await? {
        ids.insert(id_of(&answer.expect(201)?)?);
    }
    assert_eq!(ids.len(), 1);
    let reserved = scene
        .stack
        .all_records(CHECKOUT_ORDERS.name)
        .await?
        .into_iter()
        .filter(|record| {
            record.is::<OrderReserved>() && ids.iter().any(|id| record.key == id.to_string())
        })
        .count();
    assert_eq!(reserved, 1, "one effect");
    Ok(())
}

#[tokio::test]
async fn one_key_with_two_bodies_at_once_answers_each_body_for_itself() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(100)]).await?;
    let bodies = [1, 2]
        .map(|quantity| order_body(scene.event.id, &[(scene.event.ticket_types[0], quantity)]));
    for round in 0..5 {
        let calls = (0..20).map(|n| {
            scene
                .stack
                .checkout()
                .post("/v1/orders")
                .by(&scene.buyer)
                .idempotency_key(&format!("round-{round}"))
                .json(&bodies[n % 2])
                .send()
        });
        let mut orders = HashSet::new();
        let (mut placed, mut refused) = (HashSet::new(), HashSet::new());
        for (n, answer) in try_join_all(calls).await?.into_iter().enumerate() {
            if answer.status == 201 {
                let order = answer.expect(201)?;
                assert_eq!(
                    order["lines"][0]["quantity"],
                    n % 2 + 1,
                    "the order of its body"
                );
                orders.insert(id_of(&order)?);
                placed.insert(n % 2);
            } else {
                answer.expect_problem(422, "idempotency-key-reused")?;
                refused.insert(n % 2);
            }
        }
        assert_eq!((orders.len(), placed.len(), refused.len()), (1, 1, 1));
        assert!(
            placed.is_disjoint(&refused),
            "one body was placed, the other refused"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_cursor_of_the_far_future_is_none_of_ours() -> anyhow::Result<()> {
    let stack = Stack::from_env();
    let buyer = stack.customer().await?;
    let year_9999 = r#"[253402300800000000,"00000000-0000-0000-0000-000000000000"]"#;
    let cursor = URL_SAFE_NO_PAD.encode(year_9999);
    for list in ["orders", "tickets"] {
        let path = format!("/v1/{list}?cursor={cursor}");
        let answer = stack.checkout().get(path).by(&buyer).send().await?;
        let problem = answer.expect_problem(422, "invalid")?;
        assert_eq!(problem["errors"][0]["pointer"], "?cursor");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_an_object_is_no_array() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(5)]).await?;
    let checkout = scene.stack.checkout();
    let (event, ticket_type) = (scene.event.id, scene.event.ticket_types[0]);
    let lines = [(ticket_type, 1)];
    let order = place(checkout, &scene.buyer, event, &lines).send().await?;
    let order = order.expect(201)?;
    let payment = format!("/v1/orders/{}/payment", id_of(&order)?);
    let line = json!({"ticket_type_id": ticket_type, "quantity": 1});
    let orders = "/v1/orders";
    for (path, body, pointer) in [
        (orders, json!([event, [line]]), ""),
        (
            orders,
            json!({"event_id": event, "lines": [[ticket_type, 1]]}),
            "/lines/0",
        ),
        (
            orders,
            json!({"event_id": event, "lines": [line, [ticket_type, 1]]}),
            "/lines/1",
        ),
        (
            &*payment,
            json!({"method": ["simulated", "4242424242424242"]}),
            "/method",
        ),
    ] {
        let call = checkout.post(path).by(&scene.buyer).json(&body);
        let problem = call.send().await?.expect_problem(422, "invalid")?;
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["pointer"], &error["code"]),
            (&json!(pointer), &json!("type")),
            "{body}: {problem}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn one_key_on_two_events_makes_two_orders() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(5)]).await?;
    let partitions = scene.stack.event_partitions;
    // In the same books, where one command that comes twice is one command.
    let other = loop {
        let types = [TicketType::general(5)];
        let other = scene
            .stack
            .published_event(&scene.organizer, &types)
            .await?;
        if partition_of(other.id, partitions) == partition_of(scene.event.id, partitions) {
            break other;
        }
    };
    let mut ids = HashSet::new();
    for event in [&scene.event, &other] {
        let order = scene
            .stack
            .checkout()
            .post("/v1/orders")
            .by(&scene.buyer)
            .idempotency_key("one-key")
            .json(&order_body(event.id, &[(event.ticket_types[0], 1)]))
            .send()
            .await?
            .expect(201)?;
        ids.insert(id_of(&order)?);
    }
    assert_eq!(ids.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_crowd_gets_every_seat_and_not_one_more() -> anyhow::Result<()> {
    const SEATS: u32 = 30;
    let scene = Scene::with(&[TicketType::general(SEATS)]).await?;
    let checkout = scene.stack.checkout();
    let calls = (0..100).map(|_| {
        place(
            checkout,
            &scene.buyer,
            scene.event.id,
            &[(scene.event.ticket_types[0], 1)],
        )
        .send()
    });
    let mut sold = 0;
    for answer in try_join_all(calls).await? {
        if answer.status == 201 {
            sold += 1;
        } else {
            answer.expect_problem(409, "sold-out")?;
        }
    }
    assert_eq!(sold, SEATS);
    // The repeat of the last seat's key is not refused by its own order.
    let key = "the-last-one";
    let full = Scene::with(&[TicketType::general(1)]).await?;
    let body = order_body(full.event.id, &[(full.event.ticket_types[0], 1)]);
    let mut ids = HashSet::new();
    for _ in 0..2 {
        let order = full
            .stack
            .checkout()
            .post("/v1/orders")
            .by(&full.buyer)
            .idempotency_key(key)
            .json(&body)
            .send()
            .await?
            .expect(201)?;
        ids.insert(id_of(&order)?);
    }
    assert_eq!(ids.len(), 1);
    Ok(())
}

#[tokio::test]
async fn stock_adds_up_at_every_version() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(20), TicketType::vip(10)]).await?;
    let types = &scene.event.ticket_types;
    for quantity in 1..=3 {
        place(
            scene.stack.checkout(),
            &scene.buyer,
            scene.event.id,
            &[(types[0], quantity), (types[1], 1)],
        )
        .send()
        .await?
        .expect(201)?;
    }
    let levels = eventually(SOON, "the stock after three orders", async || {
        let mut levels = Vec::new();
        for record in scene.stack.all_records(CHECKOUT_STOCK.name).await? {
            if record.is::<StockLevel>() && record.key == scene.event.id.to_string() {
                levels.push(record.read::<StockLevel>()?);
            }
        }
        let done = levels.last().is_some_and(|level| {
            level
                .ticket_types
                .iter()
                .map(|ticket_type| ticket_type.held)
                .sum::<i64>()
                == 9
        });
        Ok(done.then_some(levels))
    })
    .await?;
    let mut last_version = 0;
    for level in &levels {
        assert!(level.version > last_version, "versions ascend");
        last_version = level.version;
        for stock in &level.ticket_types {
            assert_eq!(
                stock.quantity,
                stock.held + stock.sold + stock.free,
                "{level:?}"
            );
            assert!(stock.free >= 0);
        }
    }
    Ok(())
}

#[tokio::test]
async fn orders_are_read_by_their_buyer_newest_first_and_by_nobody_else() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(50)]).await?;
    let checkout = scene.stack.checkout();
    let mut placed = Vec::new();
    for _ in 0..5 {
        let order = place(
            checkout,
            &scene.buyer,
            scene.event.id,
            &[(scene.event.ticket_types[0], 1)],
        )
        .send()
        .await?
        .expect(201)?;
        placed.push(id_of(&order)?);
    }
    placed.reverse();
    let mut listed = Vec::new();
    let mut path = "/v1/orders?limit=2".to_owned();
    loop {
        let page = checkout
            .get(&path)
            .by(&scene.buyer)
            .send()
            .await?
            .expect(200)?;
        for order in page["items"].as_array().into_iter().flatten() {
            listed.push(id_of(order)?);
        }
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/orders?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(listed, placed);
    let path = format!("/v1/orders/{}", placed[0]);
    let stranger = scene.stack.customer().await?;
    checkout
        .get(&path)
        .by(&stranger)
        .send()
        .await?
        .expect_problem(404, "not-found")?;
    let support = scene.stack.user(&[Role::Support]).await?;
    checkout.get(&path).by(&support).send().await?.expect(200)?;
    let stranger_sees = checkout
        .get("/v1/orders")
        .by(&stranger)
        .send()
        .await?
        .expect(200)?;
    assert_eq!(stranger_sees["items"], serde_json::json!([]));
    Ok(())
}

#[tokio::test]
async fn a_limit_per_buyer_holds_across_orders() -> anyhow::Result<()> {
    let scene = Scene::with(&[TicketType::general(50).at_most(3)]).await?;
    let order = |quantity| {
        place(
            scene.stack.checkout(),
            &scene.buyer,
            scene.event.id,
            &[(scene.event.ticket_types[0], quantity)],
        )
        .send()
    };
    order(2).await?.expect(201)?;
    order(2).await?.expect_problem(409, "limit-per-buyer")?;
    order(1).await?.expect(201)?;
    Ok(())
}
