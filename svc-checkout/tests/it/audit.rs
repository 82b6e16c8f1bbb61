//! What the auditor says of a small sale, of the tables that were rebuilt from its topics, and of tables that somebody
//! had his hands in.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use e2e::orders::{CARD_DECLINED, CARD_PAID, CARD_TIMES_OUT, pay};
use e2e::users::id_of;
use e2e::vouchers::{half, make, place_with};
use e2e::{Stack, TicketType};
use platform::clock::Timestamp;
use platform::config::Env;
use platform::cql;
use platform::ids::new_id;
use svc_checkout::audit::{self, Audit};
use svc_checkout::config::StoresConfig;
use svc_checkout::domain::order::Order;
use svc_checkout::rebuild;
use svc_checkout::store::MIGRATIONS;
use uuid::Uuid;

use crate::Scene;

pub(crate) fn stores(stack: &Stack, keyspace: &str) -> anyhow::Result<StoresConfig> {
    let partitions = stack.event_partitions.to_string();
    let variables = HashMap::from([
        ("KAFKA_BROKERS", stack.kafka_brokers.as_str()),
        ("KAFKA_REPLICATION_FACTOR", "1"),
        ("EVENT_PARTITIONS", &partitions),
        ("SCHEMA_REGISTRY_URL", &stack.schema_registry_url),
        ("CQL_NODES", &stack.cql_nodes),
        ("CQL_KEYSPACE", keyspace),
        ("CQL_REPLICATION_FACTOR", "1"),
        ("CQL_DATACENTER", "datacenter1"),
    ]);
    Ok(Env::from_map(variables).read(StoresConfig::from_env)?)
}

/// One order of each kind: held, paid at the second try with one ticket given back, paid by a card whose answer got lost,
/// cancelled, refunded. All have the voucher.
async fn sell(scene: &Scene) -> anyhow::Result<Uuid> {
    let (api, buyer) = (scene.stack.checkout(), &scene.buyer);
    let event = scene.event.id;
    make(
        scene.stack.catalog(),
        &scene.organizer,
        event,
        &half("AUDIT", 5),
    )
    .send()
    .await?
    .expect(201)?;
    let mut orders = Vec::new();
    for quantity in 1..=5 {
        let lines = [(scene.event.ticket_types[0], quantity)];
        let order = place_with(api, buyer, event, &lines, "AUDIT")
            .send()
            .await?;
        orders.push(id_of(&order.expect(201)?)?);
    }
    let [held, second_try, lost_answer, cancelled, refunded] = orders[..] else {
        anyhow::bail!("five orders");
    };
    pay(api, buyer, second_try, CARD_DECLINED)
        .send()
        .await?
        .expect(402)?;
    for (order, card) in [
        (second_try, CARD_PAID),
        (lost_answer, CARD_TIMES_OUT),
        (refunded, CARD_PAID),
    ] {
        pay(api, buyer, order, card).send().await?.expect(200)?;
    }
    let given_back = id_of(&scene.shown(second_try).await?["tickets"][0])?;
    let given_back = scene.say(buyer, given_back, "cancelled").send().await?;
    ensure!(given_back.expect(200)?["status"] == "revoked");
    for (order, ending, by) in [
        (cancelled, "cancel", buyer),
        (refunded, "refund", &scene.organizer),
    ] {
        let path = format!("/v1/orders/{order}/{ending}");
        api.post(path).by(by).send().await?.expect(200)?;
    }
    Ok(held)
}

#[tokio::test]
async fn the_tables_are_the_ledger_and_can_be_made_from_it_again() -> anyhow::Result<()> {
    let scene = Scene::that_takes_seats_back(&[TicketType::general(50)]).await?;
    let held = sell(&scene).await?;
    let ours = stores(&scene.stack, "checkout")?;
    let this_event = Audit {
        event: Some(scene.event.id),
        ..Audit::default()
    };
    let report = audit::run(&ours, &this_event).await?;
    ensure!(report.holds(), "{report}");

    let keyspace = format!("test_rebuilt_{}", new_id().simple());
    let rebuilt = stores(&scene.stack, &keyspace)?;
    // Other tests put garbage on the ledger's topics. All that can be read is written before that is told.
    if let Err(error) = rebuild::run(&rebuilt).await {
        ensure!(error.to_string().contains("cannot be read"), "{error:#}");
    }
    let again = rebuild::run(&rebuilt).await.err();
    let again = again.context("a keyspace with rows was taken for an empty one")?;
    ensure!(again.to_string().contains("CQL_KEYSPACE"), "{again:#}");
    let of_rebuilt = Audit {
        tables: Some(keyspace.clone()),
        ..this_event
    };
    let report = audit::run(&ours, &of_rebuilt).await?;
    ensure!(report.holds(), "{report}");

    // A seat for somebody who did not pay, and at another price.
    let session = cql::connect(&rebuilt.cql).await?;
    let (high, _) = held.as_u64_pair();
    session
        .query_unpaged(
            "UPDATE orders SET status = 'paid', voucher = null WHERE bucket = ? AND order_id = ?",
            ((high >> 19).cast_signed(), held),
        )
        .await?;
    let report = audit::run(&ours, &of_rebuilt).await?;
    let told = format!("order {held}: its row has another status, voucher");
    ensure!(
        !report.holds() && report.to_string().contains(&told),
        "{report}"
    );
    session
        .query_unpaged(format!("DROP KEYSPACE {keyspace}"), ())
        .await?;
    Ok(())
}

/// In the ledger of before migration 0011 and in the one after it, of which the service reads one only.
#[tokio::test]
async fn a_payment_that_stands_in_two_ledgers_is_told_as_broken() -> anyhow::Result<()> {
    let stores = stores(&Stack::from_env(), "test_two_ledgers")?;
    cql::migrate(&stores.cql, MIGRATIONS).await?;
    let session = cql::connect(&stores.cql).await?;
    let (event, payment) = (new_id(), new_id());
    let order = Order::id_of_command(event, new_id());
    // So lately that the box office need not know of it.
    let now = Timestamp::now().as_micros();
    let former = "INSERT INTO simulated_charges (payment_id, order_id, status, amount, currency, changed_at) \
                  VALUES (?, ?, 'voided', 2500, 'EUR', ?)";
    let newer = "INSERT INTO simulated_ledger (bucket, payment_id, order_id, status, amount, currency, changed_at) \
                 VALUES (0, ?, ?, 'captured', 2500, 'EUR', ?)";
    let this_event = Audit {
        event: Some(event),
        ..Audit::default()
    };
    session.query_unpaged(newer, (payment, order, now)).await?;
    let report = audit::run(&stores, &this_event).await?;
    ensure!(report.holds(), "{report}");
    session.query_unpaged(former, (payment, order, now)).await?;
    let report = audit::run(&stores, &this_event).await?;
    let told =
        format!("payment {payment} stands in two ledgers: Captured 2500 EUR and Voided 2500 EUR");
    ensure!(
        !report.holds() && report.to_string().contains(&told),
        "{report}"
    );
    Ok(())
}
