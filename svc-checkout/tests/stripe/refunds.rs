//! Money goes back once, and "paid back" is said when it has.

use anyhow::ensure;
use svc_checkout::payment::{Charge, ChargeEnd, Provider as _};

use crate::provider::{Desk, PRICE, charge};

async fn paid(desk: &Desk) -> anyhow::Result<Charge> {
    let charge = charge("pm_paid", PRICE);
    ensure!(desk.stripe.charge(&charge).await? == ChargeEnd::Paid);
    Ok(charge)
}

#[tokio::test]
async fn a_refund_is_made_once_however_often_it_is_asked_for() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let charge = paid(&desk).await?;
    for _ in 0..3 {
        desk.stripe.refund(charge.payment_id).await?;
    }
    assert_eq!(desk.fake.ledger().money(charge.order_id), (PRICE, PRICE));
    assert_eq!(desk.fake.ledger().done["refund"], 1);
    // What was paid and given back was paid.
    let end = desk.stripe.end(charge.payment_id).await?;
    assert_eq!(end, Some(ChargeEnd::Paid));
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_is_no_second_refund_not_even_a_day_later() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let charge = paid(&desk).await?;
    desk.fake.ledger().hang("refund");
    tokio::select! {
        end = desk.stripe.refund(charge.payment_id) => anyhow::bail!("{end:?} and not lost"),
        () = async { while desk.fake.ledger().money(charge.order_id).1 == 0 { tokio::task::yield_now().await } } => {}
    }
    desk.fake.ledger().forget_keys();
    desk.stripe.refund(charge.payment_id).await?;
    assert_eq!(desk.fake.ledger().money(charge.order_id), (PRICE, PRICE));
    assert_eq!(desk.fake.ledger().done["refund"], 1);
    Ok(())
}

#[tokio::test]
async fn one_that_failed_is_made_again_and_one_under_way_is_waited_for() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let charge = paid(&desk).await?;
    desk.fake.ledger().refund_ends.extend(["failed", "pending"]);
    assert!(
        desk.stripe.refund(charge.payment_id).await.is_err(),
        "failed"
    );
    assert!(
        desk.stripe.refund(charge.payment_id).await.is_err(),
        "pending"
    );
    assert!(
        desk.stripe.refund(charge.payment_id).await.is_err(),
        "still"
    );
    assert_eq!(desk.fake.ledger().money(charge.order_id), (PRICE, 0));
    desk.fake.ledger().end_refunds("succeeded");
    desk.stripe.refund(charge.payment_id).await?;
    assert_eq!(desk.fake.ledger().money(charge.order_id), (PRICE, PRICE));
    assert_eq!(desk.fake.ledger().done["refund"], 2);
    Ok(())
}

#[tokio::test]
async fn an_outage_leaves_it_owed() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let charge = paid(&desk).await?;
    for verb in ["refunds", "refund"] {
        desk.fake.ledger().fail(verb, 503, 3);
        assert!(
            desk.stripe.refund(charge.payment_id).await.is_err(),
            "{verb}"
        );
    }
    assert_eq!(desk.fake.ledger().money(charge.order_id), (PRICE, 0));
    desk.stripe.refund(charge.payment_id).await?;
    assert_eq!(desk.fake.ledger().money(charge.order_id), (PRICE, PRICE));
    // What was never charged here cannot go back.
    let unknown = self::charge("pm_paid", PRICE);
    assert!(desk.stripe.refund(unknown.payment_id).await.is_err());
    Ok(())
}
