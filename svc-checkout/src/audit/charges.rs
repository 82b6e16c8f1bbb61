//! The simulated provider's ledger, read as one reads somebody else's statement of account.

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
}

/// Every charge by its payment.
pub(super) async fn read(session: &Session, scope: Scope) -> anyhow::Result<HashMap<Uuid, Charge>> {
    let text =
        "SELECT payment_id, order_id, status, amount, currency, changed_at FROM simulated_charges";
    let mut rows = session
        .query_iter(text, ())
        .await?
        .rows_stream::<(Uuid, Uuid, String, i64, String, i64)>()?;
    let mut charges = HashMap::new();
    while let Some(row) = rows.try_next().await.context("read simulated_charges")? {
        let (payment_id, order_id, status, amount, currency, changed_at) = row;
        if !scope.has_order(order_id) {
            continue;
        }
        let status = match status.as_str() {
            "captured" => ChargeStatus::Captured,
            "declined" => ChargeStatus::Declined,
            "voided" => ChargeStatus::Voided,
            "refunded" => ChargeStatus::Refunded,
            other => bail!("payment {payment_id} has the status {other:?}"),
        };
        let charge = Charge {
            order_id,
            status,
            amount,
            currency,
            changed_at,
        };
        charges.insert(payment_id, charge);
    }
    Ok(charges)
}
