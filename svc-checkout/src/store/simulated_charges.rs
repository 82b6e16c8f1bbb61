//! The simulated provider's ledger. Lightweight transactions only.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use platform::money::{Currency, Money};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

/// What became of a charge; what is written once stays, but for a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeStatus {
    /// The money was taken.
    Captured,
    /// The card said no.
    Declined,
    /// Called off before it happened.
    Voided,
    /// Taken and given back.
    Refunded,
}

impl ChargeStatus {
    fn as_str(self) -> &'static str {
        match self {
            ChargeStatus::Captured => "captured",
            ChargeStatus::Declined => "declined",
            ChargeStatus::Voided => "voided",
            ChargeStatus::Refunded => "refunded",
        }
    }

    fn parse(text: &str) -> Result<Self, CqlError> {
        [
            ChargeStatus::Captured,
            ChargeStatus::Declined,
            ChargeStatus::Voided,
            ChargeStatus::Refunded,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| CqlError::Answer(format!("charge status {text:?}")))
    }
}

/// Reads and writes charges.
pub struct ChargeStore {
    session: Arc<Session>,
    insert: PreparedStatement,
    refund: PreparedStatement,
    select: PreparedStatement,
}

impl ChargeStore {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Ok(Self {
            insert: cql::prepare_lwt(
                &session,
                "INSERT INTO simulated_charges (payment_id, order_id, status, amount, currency, \
                 changed_at) VALUES (?, ?, ?, ?, ?, ?) IF NOT EXISTS",
            )
            .await?,
            refund: cql::prepare_lwt(
                &session,
                "UPDATE simulated_charges SET status = 'refunded', changed_at = ? \
                 WHERE payment_id = ? IF status = 'captured'",
            )
            .await?,
            select: cql::prepare_serial_read(
                &session,
                "SELECT status, amount, currency FROM simulated_charges WHERE payment_id = ?",
            )
            .await?,
            session,
        })
    }

    /// Writes the end of a charge unless it has one. Returns the end that it has.
    pub async fn settle(
        &self,
        payment_id: Uuid,
        order_id: Uuid,
        amount: Money,
        status: ChargeStatus,
    ) -> Result<ChargeStatus, CqlError> {
        let values = (
            payment_id,
            order_id,
            status.as_str(),
            amount.amount,
            amount.currency.as_str(),
            Timestamp::now().as_micros(),
        );
        let answer = self.session.execute_unpaged(&self.insert, values).await?;
        if cql::applied(answer)? {
            return Ok(status);
        }
        match self.find(payment_id).await? {
            Some((known, _)) => Ok(known),
            None => Err(CqlError::Answer(
                "a charge that exists and is not there".into(),
            )),
        }
    }

    /// Gives the money back, once. False when there is nothing to give back.
    pub async fn refund(&self, payment_id: Uuid) -> Result<bool, CqlError> {
        let values = (Timestamp::now().as_micros(), payment_id);
        let answer = self.session.execute_unpaged(&self.refund, values).await?;
        if cql::applied(answer)? {
            return Ok(true);
        }
        let known = self.find(payment_id).await?;
        Ok(matches!(known, Some((ChargeStatus::Refunded, _))))
    }

    /// The end of a charge and its amount.
    pub async fn find(&self, payment_id: Uuid) -> Result<Option<(ChargeStatus, Money)>, CqlError> {
        let row = cql::first_row(&self.session, &self.select, (payment_id,)).await?;
        row.map(|(status, amount, currency): (String, i64, String)| {
            let currency: Currency = currency.parse().map_err(CqlError::answer)?;
            Ok((ChargeStatus::parse(&status)?, Money { amount, currency }))
        })
        .transpose()
    }
}
