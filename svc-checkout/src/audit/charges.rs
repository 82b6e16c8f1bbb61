//! The simulated provider's ledger, read as one reads somebody else's statement of account; and the notes on payments at
//! Stripe, which are only what we were told: Stripe's own ledger is not read.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use futures::TryStreamExt as _;
use schemas::Micros;
use scylla::client::session::Session;
use uuid::Uuid;

use super::scope::Scope;

/// What became of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChargeStatus {
    Captured,
    Declined,
    Voided,
    Refunded,
}

/// One line of the statement.
#[derive(Debug, Clone)]
pub(super) struct Charge {
    pub(super) order_id: Uuid,
    pub(super) status: ChargeStatus,
    /// Minor units.
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) changed_at: Micros,
    /// It stands in our notes of what the provider said, not in the provider's ledger.
    pub(super) is_our_note: bool,
}

/// The statements, and whose word each is.
const STATEMENTS: [(&str, bool); 3] = [
    (
        "SELECT payment_id, order_id, status, amount, currency, changed_at FROM simulated_ledger",
        false,
    ),
    // Of charges from before there was the other one.
    (
        "SELECT payment_id, order_id, status, amount, currency, changed_at FROM simulated_charges",
        false,
    ),
    (
        "SELECT payment_id, order_id, status, amount, currency, changed_at FROM stripe_payments",
        true,
    ),
];

/// Every charge by its payment.
pub(super) async fn read(session: &Session, scope: Scope) -> anyhow::Result<HashMap<Uuid, Charge>> {
    let mut charges = HashMap::new();
    for (text, is_our_note) in STATEMENTS {
        read_one(session, scope, text, is_our_note, &mut charges).await?;
    }
    Ok(charges)
}

async fn read_one(
    session: &Session,
    scope: Scope,
    text: &str,
    is_our_note: bool,
    charges: &mut HashMap<Uuid, Charge>,
) -> anyhow::Result<()> {
    let mut rows = session
        .query_iter(text, ())
        .await?
        .rows_stream::<(Uuid, Uuid, String, i64, String, i64)>()?;
    while let Some(row) = rows.try_next().await.context(text.to_owned())? {
        let (payment_id, order_id, status, amount, currency, changed_at) = row;
        if !scope.has_order(order_id) {
            continue;
        }
        let status = match status.as_str() {
            "captured" | "paid" => ChargeStatus::Captured,
            "declined" => ChargeStatus::Declined,
            "voided" => ChargeStatus::Voided,
            "refunded" => ChargeStatus::Refunded,
            // Stripe has not said yet; whoever has tickets for it is found without a charge.
            "open" if is_our_note => continue,
            other => bail!("payment {payment_id} has the status {other:?}"),
        };
        let charge = Charge {
            order_id,
            status,
            amount,
            currency,
            changed_at,
            is_our_note,
        };
        if charges.insert(payment_id, charge).is_some() {
            bail!("payment {payment_id} stands in two ledgers");
        }
    }
    Ok(())
}
