//! The simulated provider's ledger, read as one reads somebody else's statement of account; and the notes on payments at
//! Stripe, which are only what we were told: Stripe's own ledger is not read.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use anyhow::{Context as _, bail};
use futures::TryStreamExt as _;
use schemas::Micros;
use scylla::client::session::Session;
use uuid::Uuid;

use super::report::{Found, Promise};
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

/// Every charge by its payment.
#[derive(Debug, Default)]
pub(super) struct Charges {
    by_payment: HashMap<Uuid, Charge>,
    /// What another statement says of a payment that stands in one already.
    again: Vec<(Uuid, Charge)>,
}

impl Charges {
    /// One more line. Of a payment that is known the first line stays what is judged.
    pub(super) fn add(&mut self, payment_id: Uuid, charge: Charge) {
        match self.by_payment.entry(payment_id) {
            Entry::Vacant(place) => _ = place.insert(charge),
            Entry::Occupied(_) => self.again.push((payment_id, charge)),
        }
    }

    pub(super) fn get(&self, payment_id: Uuid) -> Option<&Charge> {
        self.by_payment.get(&payment_id)
    }

    #[cfg(test)]
    pub(super) fn get_mut(&mut self, payment_id: Uuid) -> Option<&mut Charge> {
        self.by_payment.get_mut(&payment_id)
    }

    #[cfg(test)]
    pub(super) fn replace(&mut self, payment_id: Uuid, charge: Charge) {
        self.by_payment.insert(payment_id, charge);
    }

    /// One of each payment.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Uuid, &Charge)> {
        self.by_payment
            .iter()
            .map(|(payment_id, charge)| (*payment_id, charge))
    }

    /// All that stand in the statements, those of one payment too.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Charge> {
        let again = self.again.iter().map(|(_, charge)| charge);
        self.by_payment.values().chain(again)
    }

    /// A payment is charged at one place: whoever looks at one of two may take its money, or give it back, once more.
    pub(super) fn check(&self, found: &mut Found) {
        for (payment_id, charge) in &self.again {
            let first = self.by_payment.get(payment_id).map(ToString::to_string);
            found.add(
                Promise::MoneyConserved,
                *payment_id,
                format!(
                    "payment {payment_id} stands in two ledgers: {} and {charge}",
                    first.unwrap_or_default()
                ),
            );
        }
    }
}

impl fmt::Display for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            amount,
            currency,
            ..
        } = self;
        write!(f, "{status:?} {amount} {currency}")
    }
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

/// Every charge that is in scope.
pub(super) async fn read(session: &Session, scope: Scope) -> anyhow::Result<Charges> {
    let mut charges = Charges::default();
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
    charges: &mut Charges,
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
        charges.add(payment_id, charge);
    }
    Ok(())
}
