//! Rows that no test through the API can make: of other years, and many at once.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Context as _;
use e2e::Stack;
use futures::future::try_join_all;
use platform::clock::Timestamp;
use platform::config::CqlConfig;
use platform::cql;
use platform::ids::new_id;
use platform::money::Money;
use scylla::client::session::Session;
use svc_checkout::domain::order::{Line, Order, Status, Ticket};
use svc_checkout::store::MIGRATIONS;
use svc_checkout::store::orders::{End, OrderStore, Walk};
use svc_checkout::store::simulated_charges::{ChargeStatus, ChargeStore};
use uuid::Uuid;

/// Over a keyspace of its own: what is not in the ledger has no place in that of the service.
async fn session(keyspace: &str) -> anyhow::Result<Arc<Session>> {
    let config = CqlConfig {
        nodes: vec![Stack::from_env().cql_nodes],
        keyspace: keyspace.to_owned(),
        replication_factor: 1,
        datacenter: "datacenter1".to_owned(),
        credentials: None,
    };
    cql::migrate(&config, MIGRATIONS).await?;
    Ok(cql::connect(&config).await?)
}

async fn store(keyspace: &str) -> anyhow::Result<OrderStore> {
    Ok(OrderStore::new(session(keyspace).await?).await?)
}

fn price(amount: i64) -> Money {
    Money {
        amount,
        currency: "EUR".parse().expect("a currency"),
    }
}

/// A paid order of one line.
fn paid(event_id: Uuid, user_id: Uuid, at: &str, tickets: i64) -> anyhow::Result<Order> {
    let at = Timestamp::parse(at)?;
    let ticket_type_id = new_id();
    Ok(Order {
        id: Order::id_of_command(event_id, new_id()),
        event_id,
        user_id,
        version: 3,
        status: Status::Paid,
        lines: vec![Line {
            ticket_type_id,
            quantity: tickets,
            unit_price: price(100),
            line_total: price(100 * tickets),
        }],
        total: price(100 * tickets),
        voucher: None,
        reserved_at: at,
        expires_at: None,
        updated_at: at,
        tickets: (1..=tickets)
            .map(|number| Ticket {
                id: new_id(),
                number,
                ticket_type_id,
                kind: Arc::from("general"),
                price: price(100),
                released: false,
            })
            .collect(),
        paid_at: Some(at),
        payment_id: Some(new_id()),
        fingerprint: [0; 32],
    })
}

#[tokio::test]
async fn lists_go_back_from_year_to_year() -> anyhow::Result<()> {
    let store = store("test_checkout_lists").await?;
    let (event_id, user_id) = (new_id(), new_id());
    let mut orders = Vec::new();
    for at in [
        "2029-01-01T00:00:00Z",
        "2028-12-31T23:59:59.999999Z",
        "2026-01-01T00:00:00Z",
    ] {
        orders.push(Arc::new(paid(event_id, user_id, at, 1)?));
    }
    store.write_reserved(&orders).await?;
    store.write_paid(&orders).await?;
    let newest_first: Vec<Uuid> = orders.iter().map(|order| order.id).collect();

    let future = Some((
        Timestamp::parse("2031-05-05T00:00:00Z")?.as_micros(),
        Uuid::max(),
    ));
    let first = store.list_by_user(user_id, future, 2).await?;
    let rest = store
        .list_by_user(user_id, first.last().copied(), 2)
        .await?;
    let ids: Vec<Uuid> = first.iter().chain(&rest).map(|(_, id)| *id).collect();
    assert_eq!(ids, newest_first);
    assert_eq!((first.len(), rest.len()), (2, 1));

    let tickets = store.list_tickets(user_id, future, 50).await?;
    let ids: Vec<Uuid> = tickets.iter().map(|(_, _, order)| *order).collect();
    assert_eq!(ids, newest_first);
    let foreign = store.list_by_user(new_id(), future, 50).await?;
    assert!(foreign.is_empty());
    Ok(())
}

#[tokio::test]
async fn whatever_is_committed_at_once_is_written() -> anyhow::Result<()> {
    let store = store("test_checkout_batches").await?;
    let event_id = new_id();
    // More than a batch may have: of one buyer, of many, and in one row.
    let collector = new_id();
    let mut orders = Vec::new();
    for _ in 0..300 {
        orders.push(Arc::new(paid(
            event_id,
            collector,
            "2026-02-02T00:00:00Z",
            2,
        )?));
        orders.push(Arc::new(paid(
            event_id,
            new_id(),
            "2026-02-02T00:00:00Z",
            1,
        )?));
    }
    let large = Arc::new(paid(event_id, new_id(), "2026-02-02T00:00:00Z", 2_000)?);
    orders.push(Arc::clone(&large));
    store.write_reserved(&orders).await?;
    store.write_paid(&orders).await?;

    for order in &orders {
        let found = store.find(order.id).await?.context("a written order")?;
        assert_eq!(found.tickets, order.tickets);
        assert_eq!(found.lines, order.lines);
    }
    let after = Some((
        Timestamp::parse("2026-03-03T00:00:00Z")?.as_micros(),
        Uuid::max(),
    ));
    assert_eq!(store.list_by_user(collector, after, 500).await?.len(), 300);
    assert_eq!(store.list_tickets(collector, after, 900).await?.len(), 600);
    let of_large = store.list_tickets(large.user_id, after, 5_000).await?;
    assert_eq!(of_large.len(), 2_000);

    // Every order of the event is met once, whatever the size of a page; those of another event never are.
    let foreign = Arc::new(paid(new_id(), collector, "2026-02-02T00:00:00Z", 1)?);
    store.write_reserved(&[Arc::clone(&foreign)]).await?;
    for limit in [3, 1_000] {
        let mut walk = Walk::over(event_id);
        let mut met = Vec::new();
        while let Some(page) = store.walk_on(&mut walk, limit).await? {
            assert!(page.len() <= usize::try_from(limit)?);
            met.extend(page.iter().map(|order| order.id));
        }
        met.sort_unstable();
        let mut expected: Vec<Uuid> = orders.iter().map(|order| order.id).collect();
        expected.sort_unstable();
        assert_eq!(met, expected);
    }

    let ended: Vec<Order> = orders
        .iter()
        .map(|order| {
            let mut order = Order::clone(order);
            order.status = Status::Expired;
            order.version += 1;
            order.updated_at = Timestamp::parse("2026-02-02T00:00:01Z").expect("a time");
            order
        })
        .collect();
    let ends: Vec<End> = ended.iter().map(End::of).collect();
    store.write_ended(&ends).await?;
    for order in &ended {
        let found = store.find(order.id).await?.context("an ended order")?;
        assert_eq!((found.status, found.version), (Status::Expired, 4));
    }
    Ok(())
}

async fn settled(
    store: &ChargeStore,
    ids: &[Uuid],
    status: ChargeStatus,
) -> anyhow::Result<Vec<ChargeStatus>> {
    // Of transactions that meet, one may time out; whoever wants the end asks again.
    let ends = ids.iter().map(async |id| {
        let settle = || store.settle(*id, *id, price(100), status);
        match settle().await {
            Err(_) => settle().await,
            end => end,
        }
    });
    Ok(try_join_all(ends).await?)
}

/// Two instances want another end of the same charges at the same time, and then all money back. The ledger is few partitions, so
/// that charges share transactions and some of these are refused for one of them.
#[tokio::test]
async fn every_charge_has_one_end_whoever_wants_which() -> anyhow::Result<()> {
    const CHARGES: usize = 120;
    let session = session("test_checkout_charges").await?;
    let one = ChargeStore::new(Arc::clone(&session)).await?;
    let other = ChargeStore::new(session).await?;
    let ids: Vec<Uuid> = std::iter::repeat_with(new_id).take(CHARGES).collect();
    let (captured, voided, again) = futures::try_join!(
        settled(&one, &ids, ChargeStatus::Captured),
        settled(&other, &ids, ChargeStatus::Voided),
        settled(&one, &ids, ChargeStatus::Declined),
    )?;
    for (n, id) in ids.iter().enumerate() {
        let (known, amount) = one.find(*id).await?.context("it was settled")?;
        assert_eq!((captured[n], voided[n], again[n]), (known, known, known));
        assert_eq!(amount, price(100));
    }
    let refunded = try_join_all(ids.iter().map(|id| other.refund(*id))).await?;
    for (n, id) in ids.iter().enumerate() {
        let was_paid = captured[n] == ChargeStatus::Captured;
        assert_eq!(refunded[n], was_paid);
        let end = if was_paid {
            ChargeStatus::Refunded
        } else {
            captured[n]
        };
        assert_eq!(one.find(*id).await?, Some((end, price(100))));
    }
    assert_eq!(one.find(new_id()).await?, None);
    assert!(!one.refund(new_id()).await?, "nothing was charged");
    Ok(())
}

/// A transaction costs the database the same with one charge as with thirty: that charges share them is why payments are as quick
/// as they are. What one transaction has written has one time, so the rows tell how many there were.
#[tokio::test]
async fn charges_that_come_at_once_share_transactions() -> anyhow::Result<()> {
    const CHARGES: usize = 60;
    let session = session("test_checkout_charges").await?;
    let store = ChargeStore::new(Arc::clone(&session)).await?;
    let ids: Vec<Uuid> = std::iter::repeat_with(new_id).take(CHARGES).collect();
    settled(&store, &ids, ChargeStatus::Captured).await?;
    let rows = "SELECT bucket, payment_id, WRITETIME(status) FROM simulated_ledger";
    let rows = session.query_unpaged(rows, ()).await?.into_rows_result()?;
    let mut charges = 0;
    let mut transactions = HashSet::new();
    for row in rows.rows::<(i8, Uuid, i64)>()? {
        let (partition, id, written_at) = row?;
        if ids.contains(&id) {
            charges += 1;
            transactions.insert((partition, written_at));
        }
    }
    assert_eq!(charges, CHARGES);
    // One for each of the four partitions; where the database did not answer in time its charges went one by one.
    assert!(
        transactions.len() <= CHARGES / 2,
        "{} transactions of {CHARGES} charges",
        transactions.len()
    );
    Ok(())
}
