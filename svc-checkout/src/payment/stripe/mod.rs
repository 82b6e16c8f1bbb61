//! Stripe, over its HTTP API.
//!
//! An intent is made unconfirmed, noted, and then confirmed, so that there is no charge whose intent we do not know. From
//! then on the money moves at most once: an intent succeeds once, and one that was cancelled never will.
//!
//! - What is final at Stripe is noted before anybody is told: `succeeded` is paid, `canceled` is declined, and everything
//!   else is open, a declined card too, until its intent is cancelled.
//! - A void makes the intent if there is none noted (under its Idempotency-Key, so it is the one that a process may have
//!   made that died before it noted it), and cancels it. Whoever would still confirm it is refused by Stripe.
//! - A time-out, a lock (409), a limit (429), an outage (5xx), a key that is not accepted, an intent that is not there: the
//!   end is unknown, the payment stays on the worklist, and a job asks again.
//!
//! The client is our own, six calls. `async-stripe` would bring several generated crates of types for all of Stripe's
//! API, and has no opinion on what we need to know of each answer: whether it is final. docs/adr/0006 has the reasons.

mod amount;
mod answers;
pub mod client;
pub mod signature;
pub mod webhook;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use platform::money::Money;
use uuid::Uuid;

use self::amount::{stripe_amount, stripe_currency};
use self::answers::{Intent, IntentStatus, Refund, RefundStatus};
use self::client::{CallError, Client};
use super::{Charge, ChargeEnd, Method, Provider, Unknown};
use crate::store::stripe_payments::{Note, NoteStatus, StripePaymentStore};

/// Stripe as a payment provider.
pub struct Stripe {
    client: Client,
    notes: StripePaymentStore,
}

fn unknown(error: impl std::error::Error + Send + Sync + 'static) -> Unknown {
    Unknown(Some(Box::new(error)))
}

fn unknown_for(reason: impl Into<String>) -> Unknown {
    Unknown(Some(reason.into().into()))
}

/// The end that is noted, if one is.
fn end_of(status: NoteStatus) -> Option<ChargeEnd> {
    match status {
        NoteStatus::Open => None,
        NoteStatus::Paid | NoteStatus::Refunded => Some(ChargeEnd::Paid),
        NoteStatus::Declined => Some(ChargeEnd::Declined),
    }
}

impl Stripe {
    /// Over this client and these notes.
    pub fn new(client: Client, notes: StripePaymentStore) -> Self {
        Self { client, notes }
    }

    /// What is noted of a payment; where nothing is, its intent is made and noted.
    async fn begun(
        &self,
        payment_id: Uuid,
        order_id: Uuid,
        amount: Money,
    ) -> Result<Note, Unknown> {
        if let Some(note) = self.notes.find(payment_id).await.map_err(unknown)? {
            return Ok(note);
        }
        let made = self
            .client
            .create_intent(payment_id, order_id, amount)
            .await;
        let intent_id = match made {
            Ok(intent) => Some(intent.id),
            // Too little, or a currency that it does not take: there is no intent, so there is nothing to void. A 404 would
            // be a wrong address.
            Err(
                error @ (CallError::Currency(_)
                | CallError::Refused {
                    status: 400 | 402, ..
                }),
            ) => {
                tracing::error!(%payment_id, %amount, %error, "Stripe does not begin this payment");
                None
            }
            Err(error) => return Err(unknown(error)),
        };
        let noted = self.notes.begin(payment_id, order_id, amount, intent_id);
        noted.await.map_err(unknown)
    }

    /// Reads an intent, and notes its end if it has one.
    async fn judge(
        &self,
        payment_id: Uuid,
        amount: Money,
        intent: &Intent,
    ) -> Result<Option<ChargeEnd>, Unknown> {
        let noted = match intent.status {
            IntentStatus::Unsettled => return Ok(None),
            IntentStatus::Canceled => self.notes.declined(payment_id).await,
            IntentStatus::Succeeded => {
                let wanted = (stripe_amount(amount), stripe_currency(amount));
                let taken = (Some(intent.amount_received), intent.currency.clone());
                if taken != wanted {
                    // Nobody but a person at Stripe can have done that.
                    return Err(unknown_for(format!(
                        "{} took {taken:?} and was to take {wanted:?}",
                        intent.id
                    )));
                }
                self.notes.paid(payment_id).await
            }
        };
        noted.map(end_of).map_err(unknown)
    }

    /// Makes the intent impossible, or learns that it has succeeded.
    async fn cancel(
        &self,
        payment_id: Uuid,
        amount: Money,
        intent_id: &str,
    ) -> Result<ChargeEnd, Unknown> {
        let intent = match self.client.cancel_intent(intent_id).await {
            Ok(intent) => intent,
            // It has succeeded, or was cancelled before: it tells itself.
            Err(CallError::Refused { .. }) => {
                self.client.intent(intent_id).await.map_err(unknown)?
            }
            Err(error) => return Err(unknown(error)),
        };
        let end = self.judge(payment_id, amount, &intent).await?;
        end.ok_or_else(|| {
            unknown_for(format!(
                "{intent_id} can neither be cancelled nor is it paid"
            ))
        })
    }

    async fn charge_once(&self, charge: &Charge) -> Result<ChargeEnd, Unknown> {
        let Method::StripePaymentMethod(payment_method) = &charge.method else {
            return Err(unknown_for("not a payment method of Stripe"));
        };
        let Charge {
            payment_id,
            order_id,
            amount,
            ..
        } = *charge;
        let note = self.begun(payment_id, order_id, amount).await?;
        let intent_id = match (end_of(note.status), note.intent_id) {
            (Some(end), _) => return Ok(end),
            (None, Some(intent_id)) => intent_id,
            (None, None) => return Err(unknown_for("a payment is open and has no intent")),
        };
        let confirmed = self
            .client
            .confirm_intent(payment_id, &intent_id, payment_method)
            .await;
        match confirmed {
            Ok(intent) => {
                if let Some(end) = self.judge(payment_id, amount, &intent).await? {
                    return Ok(end);
                }
            }
            Err(error @ CallError::Refused { .. }) => {
                tracing::info!(%payment_id, %error, "declined");
            }
            Err(error) => return Err(unknown(error)),
        }
        // Declined, and open at Stripe: it takes another card. Ours is the next attempt's, under another payment id.
        self.cancel(payment_id, amount, &intent_id).await
    }

    async fn end_now(&self, payment_id: Uuid) -> Result<Option<ChargeEnd>, Unknown> {
        let Some(note) = self.notes.find(payment_id).await.map_err(unknown)? else {
            return Ok(None);
        };
        match (end_of(note.status), note.intent_id) {
            (Some(end), _) => Ok(Some(end)),
            (None, Some(intent_id)) => {
                let intent = self.client.intent(&intent_id).await.map_err(unknown)?;
                self.judge(payment_id, note.amount, &intent).await
            }
            (None, None) => Ok(None),
        }
    }

    async fn void_now(
        &self,
        payment_id: Uuid,
        order_id: Uuid,
        amount: Money,
    ) -> Result<ChargeEnd, Unknown> {
        let note = self.begun(payment_id, order_id, amount).await?;
        match (end_of(note.status), note.intent_id) {
            (Some(end), _) => Ok(end),
            (None, Some(intent_id)) => self.cancel(payment_id, note.amount, &intent_id).await,
            (None, None) => Err(unknown_for("a payment is open and has no intent")),
        }
    }

    /// Asks what was given back before it gives anything back: Stripe forgets an Idempotency-Key after a day, and a job
    /// may come back to a refund later than that.
    async fn refund_now(&self, payment_id: Uuid) -> Result<(), Unknown> {
        let note = self.notes.find(payment_id).await.map_err(unknown)?;
        let Some(Note {
            intent_id: Some(intent_id),
            status,
            amount,
            ..
        }) = note
        else {
            return Err(unknown_for("no payment at Stripe is noted to refund"));
        };
        if status == NoteStatus::Refunded {
            return Ok(());
        }
        let owed = stripe_amount(amount).unwrap_or(i64::MAX);
        let mut refunds = self.client.refunds(&intent_id).await.map_err(unknown)?;
        if under_way(&refunds) < owed {
            let number = refunds.len();
            let made = self
                .client
                .create_refund(payment_id, &intent_id, number)
                .await
                .map_err(unknown)?;
            refunds.push(made);
        }
        if sum(&refunds, RefundStatus::Succeeded) < owed {
            return Err(unknown_for("the refund is not through yet"));
        }
        self.notes.refunded(payment_id).await.map_err(unknown)?;
        Ok(())
    }
}

fn sum(refunds: &[Refund], status: RefundStatus) -> i64 {
    let of_status = refunds
        .iter()
        .filter(|refund| refund.status == Some(status));
    of_status.map(|refund| refund.amount).sum()
}

/// What went back, or still may without our doing.
fn under_way(refunds: &[Refund]) -> i64 {
    let may_arrive = |refund: &&Refund| {
        !matches!(
            refund.status,
            Some(RefundStatus::Failed | RefundStatus::Canceled)
        )
    };
    refunds
        .iter()
        .filter(may_arrive)
        .map(|refund| refund.amount)
        .sum()
}

impl Provider for Stripe {
    fn takes(&self, method: &Method) -> bool {
        matches!(method, Method::StripePaymentMethod(_))
    }

    fn charge<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Result<ChargeEnd, Unknown>> {
        self.charge_once(charge).boxed()
    }

    fn void<'a>(
        &'a self,
        payment_id: Uuid,
        order_id: Uuid,
        amount: Money,
    ) -> BoxFuture<'a, Result<ChargeEnd, Unknown>> {
        self.void_now(payment_id, order_id, amount).boxed()
    }

    fn end(&self, payment_id: Uuid) -> BoxFuture<'_, Result<Option<ChargeEnd>, Unknown>> {
        self.end_now(payment_id).boxed()
    }

    fn refund(&self, payment_id: Uuid) -> BoxFuture<'_, Result<(), Unknown>> {
        self.refund_now(payment_id).boxed()
    }
}
