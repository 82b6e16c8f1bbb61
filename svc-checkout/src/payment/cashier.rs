//! Between the provider and the box office: whatever the one says, the other is told.

use std::sync::Arc;
use std::time::Duration;

use platform::cql::CqlError;
use platform::ids::derived_id;
use uuid::Uuid;

use super::{Charge, ChargeEnd, Method, Provider, Unknown};
use crate::box_office::client::{BoxOffice, SubmitError};
use crate::box_office::worklist::OpenPayment;
use crate::domain::command::{
    Answer, Command, OrderRow, PaymentOutcome, Refusal, SettlePayment, SettleRefund,
};
use crate::domain::fact::RefundOwed;
use crate::store::orders::OrderStore;

/// A charge that takes longer has no known end: the buyer's request waits 10 s for the charge.
const CHARGE_TIMEOUT: Duration = Duration::from_secs(8);
/// A question whose answer somebody waits for.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(3);
/// What a job asks of the provider for one payment; the others wait for their turn.
const JOB_TIMEOUT: Duration = Duration::from_secs(10);
/// A row that is behind the books catches up within this many looks.
const MAX_LOOKS: u32 = 50;
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Why something could not be settled. It stays on the worklist.
#[derive(Debug, thiserror::Error)]
pub enum CashierError {
    /// The provider did not answer.
    #[error(transparent)]
    Provider(#[from] Unknown),
    /// The box office did not.
    #[error(transparent)]
    BoxOffice(#[from] SubmitError),
    /// The database did not.
    #[error(transparent)]
    Cql(#[from] CqlError),
}

/// Moves money and tells the box office.
pub struct Cashier {
    provider: Arc<dyn Provider>,
    box_office: Arc<BoxOffice>,
    orders: Arc<OrderStore>,
}

impl Cashier {
    /// With this provider.
    pub fn new(
        provider: Arc<dyn Provider>,
        box_office: Arc<BoxOffice>,
        orders: Arc<OrderStore>,
    ) -> Self {
        Self {
            provider,
            box_office,
            orders,
        }
    }

    /// Whether the provider takes what the buyer wants to pay with.
    pub fn takes(&self, method: &Method) -> bool {
        self.provider.takes(method)
    }

    /// Asks for the money and settles what comes of it.
    pub async fn charge(&self, event_id: Uuid, charge: &Charge) -> Result<Answer, CashierError> {
        let end = within(CHARGE_TIMEOUT, self.provider.charge(charge)).await?;
        let open = OpenPayment {
            order_id: charge.order_id,
            event_id,
            payment_id: charge.payment_id,
            amount: charge.amount,
            since: platform::clock::Timestamp::now(),
        };
        self.settle(&open, end).await
    }

    /// The end of a payment, as far as the provider knows.
    pub async fn end(&self, payment_id: Uuid) -> Result<Option<ChargeEnd>, CashierError> {
        Ok(within(QUESTION_TIMEOUT, self.provider.end(payment_id)).await?)
    }

    /// Settles a payment that somebody left open. With `void` one that has no end at the provider is made impossible and
    /// settled as declined; without, it stays open. Returns whether it is settled.
    pub async fn resolve(&self, open: &OpenPayment, void: bool) -> Result<bool, CashierError> {
        let asked = async {
            match self.provider.end(open.payment_id).await? {
                None if void => {
                    let voided = self
                        .provider
                        .void(open.payment_id, open.order_id, open.amount);
                    voided.await.map(Some)
                }
                known => Ok(known),
            }
        };
        let Some(end) = within(JOB_TIMEOUT, asked).await? else {
            return Ok(false);
        };
        self.settle(open, end).await?;
        Ok(true)
    }

    /// Gives money back and tells the box office.
    pub async fn refund(&self, owed: &RefundOwed) -> Result<(), CashierError> {
        within(JOB_TIMEOUT, self.provider.refund(owed.payment_id)).await?;
        let command = Command::SettleRefund(SettleRefund {
            command_id: derived_id(owed.payment_id, &["settle-refund"]),
            event_id: owed.event_id,
            order_id: owed.order_id,
            payment_id: owed.payment_id,
        });
        self.box_office.submit(&command).await?;
        Ok(())
    }

    /// Tells the box office the end of a charge. An order that has left its books is sent along
    /// as its row.
    pub async fn settle(&self, open: &OpenPayment, end: ChargeEnd) -> Result<Answer, CashierError> {
        let mut row = None;
        let mut looks = 0;
        loop {
            let command = Command::SettlePayment(SettlePayment {
                // The same for everybody who settles this payment: they share one answer.
                command_id: derived_id(open.payment_id, &["settle"]),
                event_id: open.event_id,
                order_id: open.order_id,
                payment_id: open.payment_id,
                outcome: match end {
                    ChargeEnd::Paid => PaymentOutcome::Paid,
                    ChargeEnd::Declined => PaymentOutcome::Declined,
                },
                amount: open.amount,
                row,
            });
            match self.box_office.submit(&command).await {
                Err(SubmitError::Refused(Refusal::SeeRow)) if looks < MAX_LOOKS => {
                    looks += 1;
                    row = self.orders.find(open.order_id).await?.map(OrderRow::from);
                    if looks > 1 {
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                }
                other => return Ok(other?),
            }
        }
    }
}

/// What is dropped here may still have its effect: like a crash it leaves an unknown end.
async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, Unknown>>,
) -> Result<T, Unknown> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(Unknown(Some(
            format!("the provider took longer than {limit:?}").into(),
        ))),
    }
}
