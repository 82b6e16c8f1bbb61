//! A provider that charges nobody and keeps a ledger like one that does.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use platform::cql::CqlError;
use platform::money::Money;
use uuid::Uuid;

use super::{Charge, ChargeEnd, Method, Provider, Unknown};
use crate::config::SimulatedConfig;
use crate::store::simulated_charges::{ChargeStatus, ChargeStore};

/// This card is declined.
const DECLINED_CARD: &str = "4000000000000002";
/// This card is charged, and the answer gets lost.
const LOST_ANSWER_CARD: &str = "4000000000000119";

/// The simulated provider. Its ledger is a table of its own.
pub struct Simulated {
    ledger: ChargeStore,
    trouble: SimulatedConfig,
}

impl Simulated {
    /// Over this ledger, with as much trouble.
    pub fn new(ledger: ChargeStore, trouble: SimulatedConfig) -> Self {
        Self { ledger, trouble }
    }

    async fn take_its_time(&self) {
        if !self.trouble.latency.is_zero() {
            tokio::time::sleep(self.trouble.latency).await;
        }
    }
}

/// What gets lost of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Nothing,
    /// The question: nothing is charged.
    Question,
    /// The answer, after it was charged.
    Answer,
}

impl Lost {
    /// Of `percent` of all charges something gets lost, of one half the question and of the other the answer. Which ones their
    /// ids decide, which are hashes: the same charge fares alike however often it is asked for.
    fn of(payment_id: Uuid, percent: u32) -> Self {
        let id = payment_id.as_u128();
        if id % 100 >= u128::from(percent) {
            Lost::Nothing
        } else if (id / 100).is_multiple_of(2) {
            Lost::Question
        } else {
            Lost::Answer
        }
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
            self.take_its_time().await;
            let lost = Lost::of(charge.payment_id, self.trouble.failures_percent);
            if lost == Lost::Question {
                return Err(Unknown(Some("the question got lost, as configured".into())));
            }
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
            if card == LOST_ANSWER_CARD || lost == Lost::Answer {
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
            self.take_its_time().await;
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
            self.take_its_time().await;
            let found = self.ledger.find(payment_id).await.map_err(unknown)?;
            Ok(found.map(|(status, _)| end_of(status)))
        }
        .boxed()
    }

    fn refund(&self, payment_id: Uuid) -> BoxFuture<'_, Result<(), Unknown>> {
        async move {
            self.take_its_time().await;
            match self.ledger.refund(payment_id).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(Unknown(Some("there is no such charge to refund".into()))),
                Err(error) => Err(unknown(error)),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::ids::{derived_id, new_id};

    #[test]
    fn as_much_gets_lost_as_is_said_half_before_and_half_after_the_charge() {
        let order = new_id();
        let ids: Vec<Uuid> = (0..10_000)
            .map(|n| derived_id(order, &[&n.to_string()]))
            .collect();
        for (percent, each) in [(0, 0..=0), (10, 400..=600), (100, 4_700..=5_300)] {
            let count = |lost| {
                ids.iter()
                    .filter(|id| Lost::of(**id, percent) == lost)
                    .count()
            };
            let (question, answer) = (count(Lost::Question), count(Lost::Answer));
            assert!(
                each.contains(&question),
                "{percent} %: {question} questions"
            );
            assert!(each.contains(&answer), "{percent} %: {answer} answers");
            assert_eq!(count(Lost::Nothing), ids.len() - question - answer);
        }
    }
}
