//! What Stripe answers, as far as we read it. Fields that we do not know are Stripe's business.

use serde::Deserialize;

/// Where a PaymentIntent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentStatus {
    /// The money was taken. Stays so; a refund is something else.
    Succeeded,
    /// It will never be. Stays so.
    Canceled,
    /// Anything else may still become either.
    #[serde(other)]
    Unsettled,
}

/// A PaymentIntent: one try to take money, at Stripe.
#[derive(Debug, Clone, Deserialize)]
pub struct Intent {
    /// Stripe's id, `pi_…`.
    pub id: String,
    /// Where it stands.
    pub status: IntentStatus,
    /// What was taken, as Stripe counts.
    #[serde(default)]
    pub amount_received: i64,
    /// Small letters.
    pub currency: String,
}

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// On its way to the buyer, for all that Stripe can do.
    Succeeded,
    /// The money stays with us.
    Failed,
    /// So it does.
    Canceled,
    /// Pending, or waiting for somebody.
    #[serde(other)]
    Unsettled,
}

/// A refund.
#[derive(Debug, Clone, Deserialize)]
pub struct Refund {
    /// As Stripe counts.
    pub amount: i64,
    /// Null for payment methods that do not tell.
    pub status: Option<RefundStatus>,
}

/// The first page of a list, newest first.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    /// The page.
    pub(super) data: Vec<T>,
}

/// An error.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorBody {
    /// What it says.
    #[serde(default)]
    pub(super) error: ErrorDetail,
}

/// Its inside.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorDetail {
    /// `card_error`, `invalid_request_error`, `idempotency_error`, …
    #[serde(default, rename = "type")]
    pub(super) kind: String,
    /// `card_declined`, `payment_intent_unexpected_state`, …
    pub(super) code: Option<String>,
    /// `insufficient_funds`, `authentication_required`, …
    pub(super) decline_code: Option<String>,
}
