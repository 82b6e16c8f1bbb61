//! Notes on payments at Stripe. Lightweight transactions only.

use std::sync::Arc;

use platform::clock::Timestamp;
use platform::cql::{self, CqlError};
use platform::money::{Currency, Money};
use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use uuid::Uuid;

/// What Stripe has said of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteStatus {
    /// Nothing for good.
    Open,
    /// The money was taken.
    Paid,
    /// It was not and never will be.
    Declined,
    /// Taken and given back.
    Refunded,
}

impl NoteStatus {
    fn as_str(self) -> &'static str {
        match self {
            NoteStatus::Open => "open",
            NoteStatus::Paid => "paid",
            NoteStatus::Declined => "declined",
            NoteStatus::Refunded => "refunded",
        }
    }

    fn parse(text: &str) -> Result<Self, CqlError> {
        [
            NoteStatus::Open,
            NoteStatus::Paid,
            NoteStatus::Declined,
            NoteStatus::Refunded,
        ]
        .into_iter()
        .find(|status| status.as_str() == text)
        .ok_or_else(|| CqlError::Answer(format!("status {text:?} of a payment at Stripe")))
    }
}

/// What is noted of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Order.
    pub order_id: Uuid,
    /// Stripe's id of the payment; `None`: Stripe refused to begin it.
    pub intent_id: Option<String>,
    /// What Stripe has said.
    pub status: NoteStatus,
    /// What is to be charged.
    pub amount: Money,
}

/// Reads and writes notes.
pub struct StripePaymentStore {
    session: Arc<Session>,
    insert: PreparedStatement,
    set_paid: PreparedStatement,
    set_declined: PreparedStatement,
    set_refunded: PreparedStatement,
    select: PreparedStatement,
}

impl StripePaymentStore {
    /// Prepares the statements.
    pub async fn new(session: Arc<Session>) -> Result<Self, CqlError> {
        Ok(Self {
            insert: cql::prepare_lwt(
                &session,
                "INSERT INTO stripe_payments (payment_id, order_id, intent_id, status, amount, \
                 currency, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS",
            )
            .await?,
            // Money that was taken was taken, whatever was believed before.
            set_paid: cql::prepare_lwt(
                &session,
                "UPDATE stripe_payments SET status = 'paid', changed_at = ? \
                 WHERE payment_id = ? IF status IN ('open', 'declined')",
            )
            .await?,
            set_declined: cql::prepare_lwt(
                &session,
                "UPDATE stripe_payments SET status = 'declined', changed_at = ? \
                 WHERE payment_id = ? IF status = 'open'",
            )
            .await?,
            set_refunded: cql::prepare_lwt(
                &session,
                "UPDATE stripe_payments SET status = 'refunded', changed_at = ? \
                 WHERE payment_id = ? IF status IN ('open', 'paid')",
            )
            .await?,
            select: cql::prepare_serial_read(
                &session,
                "SELECT order_id, intent_id, status, amount, currency FROM stripe_payments \
                 WHERE payment_id = ?",
            )
            .await?,
            session,
        })
    }

    /// Notes the beginning of a payment, or that Stripe refused to begin it, unless something is noted. Returns what is.
    pub async fn begin(
        &self,
        payment_id: Uuid,
        order_id: Uuid,
        amount: Money,
        intent_id: Option<String>,
    ) -> Result<Note, CqlError> {
        let status = match intent_id {
            Some(_) => NoteStatus::Open,
            None => NoteStatus::Declined,
        };
        let values = (
            payment_id,
            order_id,
            intent_id.as_deref(),
            status.as_str(),
            amount.amount,
            amount.currency.as_str(),
            Timestamp::now().as_micros(),
        );
        let answer = self.session.execute_unpaged(&self.insert, values).await?;
        if cql::applied(answer)? {
            return Ok(Note {
                order_id,
                intent_id,
                status,
                amount,
            });
        }
        self.noted(payment_id).await
    }

    /// Notes that the money was taken. Returns what is noted then.
    pub async fn paid(&self, payment_id: Uuid) -> Result<NoteStatus, CqlError> {
        self.set(&self.set_paid, payment_id, NoteStatus::Paid).await
    }

    /// Notes that the money never will be taken, unless it was. Returns what is noted then.
    pub async fn declined(&self, payment_id: Uuid) -> Result<NoteStatus, CqlError> {
        self.set(&self.set_declined, payment_id, NoteStatus::Declined)
            .await
    }

    /// Notes that the money was given back. Returns what is noted then.
    pub async fn refunded(&self, payment_id: Uuid) -> Result<NoteStatus, CqlError> {
        self.set(&self.set_refunded, payment_id, NoteStatus::Refunded)
            .await
    }

    /// What is noted of a payment.
    pub async fn find(&self, payment_id: Uuid) -> Result<Option<Note>, CqlError> {
        type Row = (Uuid, Option<String>, String, i64, String);
        let row = cql::first_row::<Row>(&self.session, &self.select, (payment_id,)).await?;
        row.map(|(order_id, intent_id, status, amount, currency)| {
            let currency: Currency = currency.parse().map_err(CqlError::answer)?;
            Ok(Note {
                order_id,
                intent_id,
                status: NoteStatus::parse(&status)?,
                amount: Money { amount, currency },
            })
        })
        .transpose()
    }

    async fn noted(&self, payment_id: Uuid) -> Result<Note, CqlError> {
        let note = self.find(payment_id).await?;
        note.ok_or_else(|| CqlError::Answer("a note that exists and is not there".into()))
    }

    async fn set(
        &self,
        statement: &PreparedStatement,
        payment_id: Uuid,
        wanted: NoteStatus,
    ) -> Result<NoteStatus, CqlError> {
        let values = (Timestamp::now().as_micros(), payment_id);
        let answer = self.session.execute_unpaged(statement, values).await?;
        if cql::applied(answer)? {
            return Ok(wanted);
        }
        Ok(self.noted(payment_id).await?.status)
    }
}
