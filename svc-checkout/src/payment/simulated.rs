//! A provider that charges nobody and keeps a ledger like one that does.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use platform::cql::CqlError;
use platform::money::Money;
use uuid::Uuid;

use super::{Charge, ChargeEnd, Method, Provider, Unknown};
use crate::store::simulated_charges::{ChargeStatus, ChargeStore};

/// This card is declined.
const DECLINED_CARD: &str = "4000000000000002";
/// This card is charged, and the answer gets lost.
const LOST_ANSWER_CARD: &str = "4000000000000119";

/// The simulated provider. Its ledger is a table of its own.
pub struct Simulated {
    ledger: ChargeStore,
}

impl Simulated {
    /// Over this ledger.
    pub fn new(ledger: ChargeStore) -> Self {
        Self { ledger }
    }
}

fn unknown(error: CqlError) -> Unknown {
    Unknown(Some(Box::new(error)))
}

fn end_of(status: ChargeStatus) -> ChargeEnd {
    match status {
        ChargeStatus::Captured | ChargeStatus::Refunded => ChargeEnd::Paid,
        ChargeStatus::Declined | ChargeStatus::Voided => ChargeEnd::Declined,
    }
}

impl Provider for Simulated {
    fn takes(&self, method: &Method) -> bool {
        matches!(method, Method::SimulatedCard(_))
    }

    fn charge<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Result<ChargeEnd, Unknown>> {
        async move {
            let Method::SimulatedCard(card) = &charge.method else {
                return Err(Unknown(Some("not a simulated card".into())));
            };
            let wanted = if card == DECLINED_CARD {
                ChargeStatus::Declined
            } else {
                ChargeStatus::Captured
            };
            let status = self
                .ledger
                .settle(charge.payment_id, charge.order_id, charge.amount, wanted)
                .await
                .map_err(unknown)?;
            if card == LOST_ANSWER_CARD {
                return Err(Unknown(None));
            }
            Ok(end_of(status))
        }
        .boxed()
    }

    fn void<'a>(
        &'a self,
        payment_id: Uuid,
        order_id: Uuid,
        amount: Money,
    ) -> BoxFuture<'a, Result<ChargeEnd, Unknown>> {
        async move {
            self.ledger
                .settle(payment_id, order_id, amount, ChargeStatus::Voided)
                .await
                .map(end_of)
                .map_err(unknown)
        }
        .boxed()
    }

    fn end(&self, payment_id: Uuid) -> BoxFuture<'_, Result<Option<ChargeEnd>, Unknown>> {
        async move {
            let found = self.ledger.find(payment_id).await.map_err(unknown)?;
            Ok(found.map(|(status, _)| end_of(status)))
        }
        .boxed()
    }

    fn refund(&self, payment_id: Uuid) -> BoxFuture<'_, Result<(), Unknown>> {
        async move {
            match self.ledger.refund(payment_id).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(Unknown(Some("there is no such charge to refund".into()))),
                Err(error) => Err(unknown(error)),
            }
        }
        .boxed()
    }
}
