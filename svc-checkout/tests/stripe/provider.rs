//! The provider against the stand-in: whatever happens in between, it says what the stand-in's ledger says.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use e2e::Stack;
use futures::future::join_all;
use platform::config::CqlConfig;
use platform::cql;
use platform::ids::new_id;
use platform::money::{Currency, Money};
use svc_checkout::payment::stripe::client::Client;
use svc_checkout::payment::{Charge, ChargeEnd, Method, Provider as _, Stripe};
use svc_checkout::store::MIGRATIONS;
use svc_checkout::store::stripe_payments::StripePaymentStore;
use tokio::sync::OnceCell;

use crate::fake::{Fake, KEY};

pub(crate) const PRICE: i64 = 2_500;

/// A stand-in, and a provider that talks to it.
pub(crate) struct Desk {
    pub(crate) fake: Fake,
    pub(crate) stripe: Arc<Stripe>,
}

impl Desk {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let fake = Fake::start(None).await?;
        let stripe = Arc::new(stripe_with(&fake, KEY).await?);
        Ok(Self { fake, stripe })
    }
}

/// Notes in a keyspace of their own: they belong to no order of the service.
async fn stripe_with(fake: &Fake, key: &str) -> anyhow::Result<Stripe> {
    static MIGRATED: OnceCell<()> = OnceCell::const_new();
    let config = CqlConfig {
        nodes: vec![Stack::from_env().cql_nodes],
        keyspace: "checkout_stripe_test".to_owned(),
        replication_factor: 1,
        datacenter: "datacenter1".to_owned(),
        credentials: None,
    };
    MIGRATED
        .get_or_try_init(|| cql::migrate(&config, MIGRATIONS))
        .await?;
    let notes = StripePaymentStore::new(cql::connect(&config).await?).await?;
    Ok(Stripe::new(
        Client::new(fake.url.clone(), key.into())?,
        notes,
    ))
}

pub(crate) fn charge(payment_method: &str, amount: i64) -> Charge {
    Charge {
        payment_id: new_id(),
        order_id: new_id(),
        amount: Money::new(amount, Currency::EUR),
        method: Method::StripePaymentMethod(payment_method.to_owned()),
    }
}

/// Charges, and gives up when the stand-in has taken the money: what a crash leaves.
pub(crate) async fn crash_after_charge(desk: &Desk, charge: &Charge) -> anyhow::Result<()> {
    tokio::select! {
        end = desk.stripe.charge(charge) => anyhow::bail!("{end:?} and not lost"),
        taken = desk.fake.has_taken(charge.order_id, charge.amount.amount) => taken,
    }
}

#[tokio::test]
async fn what_it_says_is_what_stripe_did() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    for (payment_method, amount, end, taken, statuses) in [
        ("pm_paid", PRICE, ChargeEnd::Paid, PRICE, vec!["succeeded"]),
        (
            "pm_declined",
            PRICE,
            ChargeEnd::Declined,
            0,
            vec!["canceled"],
        ),
        ("pm_3ds", PRICE, ChargeEnd::Declined, 0, vec!["canceled"]),
        (
            "pm_no_such",
            PRICE,
            ChargeEnd::Declined,
            0,
            vec!["canceled"],
        ),
        // Less than Stripe takes.
        ("pm_paid", 1, ChargeEnd::Declined, 0, vec![]),
    ] {
        let charge = charge(payment_method, amount);
        for _ in 0..2 {
            assert_eq!(desk.stripe.charge(&charge).await?, end, "{payment_method}");
        }
        assert_eq!(desk.stripe.end(charge.payment_id).await?, Some(end));
        let void = desk
            .stripe
            .void(charge.payment_id, charge.order_id, charge.amount);
        assert_eq!(void.await?, end, "{payment_method}");
        let ledger = desk.fake.ledger();
        assert_eq!(
            ledger.money(charge.order_id),
            (taken, 0),
            "{payment_method}"
        );
        assert_eq!(
            ledger.statuses(charge.order_id),
            statuses,
            "{payment_method}"
        );
    }
    let foreign = Charge {
        method: Method::SimulatedCard("4242424242424242".to_owned()),
        ..charge("", PRICE)
    };
    assert!(!desk.stripe.takes(&foreign.method));
    assert!(desk.stripe.charge(&foreign).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_void_of_what_was_charged_says_paid() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let charge = charge("pm_lost", PRICE);
    crash_after_charge(&desk, &charge).await?;
    let void = desk
        .stripe
        .void(charge.payment_id, charge.order_id, charge.amount);
    assert_eq!(void.await?, ChargeEnd::Paid);
    // And a question would have been answered the same.
    let lost = self::charge("pm_lost", PRICE);
    crash_after_charge(&desk, &lost).await?;
    let end = desk.stripe.end(lost.payment_id).await?;
    assert_eq!(end, Some(ChargeEnd::Paid));
    assert_eq!(desk.fake.ledger().money(lost.order_id), (PRICE, 0));
    Ok(())
}

#[tokio::test]
async fn after_a_void_nothing_is_charged() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let charge = charge("pm_paid", PRICE);
    assert_eq!(desk.stripe.end(charge.payment_id).await?, None);
    // The process that made the intent died before it noted it, and all that is left is the Idempotency-Key.
    desk.fake.ledger().hang("create");
    tokio::select! {
        end = desk.stripe.charge(&charge) => anyhow::bail!("{end:?} and not lost"),
        () = async { while desk.fake.ledger().of_order(charge.order_id).is_empty() { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(desk.stripe.end(charge.payment_id).await?, None);
    let void = desk
        .stripe
        .void(charge.payment_id, charge.order_id, charge.amount);
    assert_eq!(void.await?, ChargeEnd::Declined);
    assert_eq!(desk.stripe.charge(&charge).await?, ChargeEnd::Declined);
    let ledger = desk.fake.ledger();
    assert_eq!(
        ledger.statuses(charge.order_id),
        ["canceled"],
        "one intent and no other"
    );
    Ok(())
}

#[tokio::test]
async fn charges_and_voids_at_once_agree() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let mut paid = 0;
    for round in 0..20 {
        let charge = charge("pm_paid", PRICE);
        let charges = join_all((0..5).map(|_| desk.stripe.charge(&charge)));
        let void = async {
            // Earlier and later, as it comes.
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            let Charge {
                payment_id,
                order_id,
                amount,
                ..
            } = charge;
            desk.stripe.void(payment_id, order_id, amount).await
        };
        let (charges, void) = futures::join!(charges, void);
        let taken = desk.fake.ledger().money(charge.order_id).0;
        let truth = match taken {
            PRICE => ChargeEnd::Paid,
            0 => ChargeEnd::Declined,
            other => anyhow::bail!("took {other}"),
        };
        for said in charges.into_iter().chain([void]) {
            assert_eq!(said?, truth);
        }
        paid += usize::from(truth == ChargeEnd::Paid);
    }
    println!("{paid} of 20 were paid");
    Ok(())
}

#[tokio::test]
async fn a_hiccup_is_waited_out_and_an_outage_stays_unknown() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    for status in [409, 429, 500, 503] {
        let charge = charge("pm_paid", PRICE);
        desk.fake.ledger().fail("create", status, 1);
        desk.fake.ledger().fail("confirm", status, 2);
        assert_eq!(
            desk.stripe.charge(&charge).await?,
            ChargeEnd::Paid,
            "{status}"
        );
        assert_eq!(desk.fake.ledger().money(charge.order_id), (PRICE, 0));

        let charge = self::charge("pm_paid", PRICE);
        desk.fake.ledger().fail("confirm", status, 3);
        assert!(desk.stripe.charge(&charge).await.is_err(), "{status}");
        assert_eq!(
            desk.stripe.end(charge.payment_id).await?,
            None,
            "nothing is final"
        );
        desk.fake.ledger().fail("show", status, 3);
        assert!(
            desk.stripe.end(charge.payment_id).await.is_err(),
            "{status}"
        );
        let void = || {
            desk.stripe
                .void(charge.payment_id, charge.order_id, charge.amount)
        };
        desk.fake.ledger().fail("cancel", status, 3);
        assert!(void().await.is_err(), "{status}");
        assert_eq!(void().await?, ChargeEnd::Declined);
        assert_eq!(desk.fake.ledger().money(charge.order_id), (0, 0));
    }
    // Charged, and 500 under its key for ever: the intent tells.
    let charge = charge("pm_500", PRICE);
    assert!(desk.stripe.charge(&charge).await.is_err());
    let end = desk.stripe.end(charge.payment_id).await?;
    assert_eq!(end, Some(ChargeEnd::Paid));
    Ok(())
}

#[tokio::test]
async fn an_intent_that_is_not_there_proves_nothing() -> anyhow::Result<()> {
    let desk = Desk::open().await?;
    let charge = charge("pm_lost", PRICE);
    crash_after_charge(&desk, &charge).await?;
    let wrong_key = stripe_with(&desk.fake, "local-another-key").await?;
    assert!(wrong_key.end(charge.payment_id).await.is_err());
    desk.fake.ledger().forget_intents();
    let Charge {
        payment_id,
        order_id,
        amount,
        ..
    } = charge;
    assert!(desk.stripe.end(payment_id).await.is_err());
    assert!(
        desk.stripe
            .void(payment_id, order_id, amount)
            .await
            .is_err()
    );
    let error = desk
        .stripe
        .end(payment_id)
        .await
        .err()
        .context("an error")?;
    let error = anyhow::Error::from(error);
    ensure!(format!("{error:#}").contains("404"), "{error:#}");
    Ok(())
}
