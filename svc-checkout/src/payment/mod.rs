//! Asking a provider for money.
//!
//! Never inside the engine, and never final by a time-out: what is settled as not paid was made
//! impossible at the provider first, by a void.

mod cashier;
mod simulated;
pub mod stripe;

use futures::future::BoxFuture;
use platform::money::Money;
use uuid::Uuid;

pub use cashier::{Cashier, CashierError};
pub use simulated::Simulated;
pub use stripe::Stripe;

/// What the provider knows of a charge for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChargeEnd {
    /// The money was captured.
    Paid,
    /// It was not and never will be under this payment id.
    Declined,
}

/// A charge to make.
#[derive(Debug, Clone)]
pub struct Charge {
    /// Idempotency key at the provider.
    pub payment_id: Uuid,
    /// Order.
    pub order_id: Uuid,
    /// How much.
    pub amount: Money,
    /// How. It goes to the provider and nowhere else.
    pub method: Method,
}

/// How a buyer pays.
#[derive(Debug, Clone)]
pub enum Method {
    /// A card of the simulated provider: 16 digits.
    SimulatedCard(String),
    /// A PaymentMethod at Stripe, `pm_…`: who made it there gave Stripe the card, and us only its name.
    StripePaymentMethod(String),
}

/// The provider did not answer, or not usably: the charge may have happened.
#[derive(Debug, thiserror::Error)]
#[error("the payment provider's answer is unknown")]
pub struct Unknown(#[source] pub Option<Box<dyn std::error::Error + Send + Sync>>);

/// A payment provider. Every call is idempotent by payment id.
pub trait Provider: Send + Sync {
    /// Whether it knows what to do with this. Others are turned away before anything is asked of it.
    fn takes(&self, method: &Method) -> bool;
    /// Takes the money.
    fn charge<'a>(&'a self, charge: &'a Charge) -> BoxFuture<'a, Result<ChargeEnd, Unknown>>;
    /// Makes a charge impossible, unless it has happened: then says `Paid`.
    fn void<'a>(
        &'a self,
        payment_id: Uuid,
        order_id: Uuid,
        amount: Money,
    ) -> BoxFuture<'a, Result<ChargeEnd, Unknown>>;
    /// The end of a charge; `None`: it has none yet.
    fn end(&self, payment_id: Uuid) -> BoxFuture<'_, Result<Option<ChargeEnd>, Unknown>>;
    /// Gives the money back, once however often it is asked.
    fn refund(&self, payment_id: Uuid) -> BoxFuture<'_, Result<(), Unknown>>;
}
