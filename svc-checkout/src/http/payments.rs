//! /v1/orders/{id}/payment

use std::time::Duration;

use axum::extract::State;
use platform::auth::Caller;
use platform::clock::Timestamp;
use platform::http::{Code, ETag, IdempotencyKey, Json, Path, Problem};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;
use uuid::Uuid;

use super::changes::{answer, answer_new, command_id, settled_row};
use super::idempotency::fingerprint;
use super::refusals;
use super::shapes::OrderOut;
use crate::app::App;
use crate::box_office::client::{BoxOffice, SubmitError};
use crate::box_office::worklist::OpenPayment;
use crate::domain::command::{Answer, Command, Refusal, StartPayment};
use crate::domain::order::{Order, Status};
use crate::payment::{CashierError, Charge, ChargeEnd, Method};

/// The end of a charge is waited for this long, whoever keeps it from us: the gateway waits for it too, and for the
/// StartPayment before it.
const PENDING_PATIENCE: Duration = Duration::from_secs(10);
const PENDING_LOOK: Duration = Duration::from_millis(200);
/// And the provider is asked this often while it says neither yes nor no; it counts our questions.
const PROVIDER_LOOK: Duration = Duration::from_secs(1);
const CARD_DIGITS: usize = 16;
/// Stripe's ids have some 30 characters; it promises no more than 255.
const MAX_STRIPE_ID_LEN: usize = 255;

/// A payment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PaymentIn)]
pub struct PaymentIn {
    /// How to pay.
    pub method: MethodIn,
}

/// How to pay.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = PaymentMethodIn)]
pub enum MethodIn {
    /// No money moves. 4242424242424242 is paid, 4000000000000002 is declined, 4000000000000119
    /// loses its answer after charging.
    Simulated {
        /// 16 digits; spaces do not count.
        card: String,
    },
    /// Stripe takes the money. The card is given to Stripe, by Stripe's own form, and never to us.
    Stripe {
        /// Id of a PaymentMethod of the kind `card`.
        #[schema(example = "pm_card_visa")]
        payment_method: String,
    },
}

impl MethodIn {
    fn check(&self) -> Result<Method, Problem> {
        match self {
            MethodIn::Simulated { card } => {
                let digits: String = card.chars().filter(|c| *c != ' ').collect();
                if digits.len() == CARD_DIGITS && digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Ok(Method::SimulatedCard(digits));
                }
                Err(Problem::invalid(
                    "/method/card",
                    "format",
                    format!("{CARD_DIGITS} digits"),
                ))
            }
            MethodIn::Stripe { payment_method: id } => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
                if id.starts_with("pm_") && id.len() <= MAX_STRIPE_ID_LEN && id.chars().all(allowed)
                {
                    return Ok(Method::StripePaymentMethod(id.clone()));
                }
                Err(Problem::invalid(
                    "/method/payment_method",
                    "format",
                    "pm_ and letters or digits",
                ))
            }
        }
    }
}

/// Pay an order
#[utoipa::path(
    operation_id = "pay_order",
    post, path = "/v1/orders/{id}/payment", tag = "payments",
    params(
        ("id" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "Names this attempt within its order")
    ),
    request_body = PaymentIn,
    responses(
        (status = 200, body = OrderOut),
        (status = 402, description = "payment-declined"),
        (status = 404, description = "not-found"),
        (status = 409, description = "hold-expired, already-paid, payment-in-progress, too-many-attempts, order-cancelled, already-refunded, request-in-progress"),
        (status = 422, description = "invalid, idempotency-key-reused"),
        (status = 503, description = "payment-pending, overloaded, unavailable"),
    ),
    security(("bearer" = []))
)]
pub async fn pay(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    Json(body): Json<PaymentIn>,
) -> Result<(ETag, axum::Json<OrderOut>), Problem> {
    let method = body.method.check()?;
    if !app.cashier.takes(&method) {
        return Err(Problem::invalid(
            "/method/type",
            "unsupported",
            "this shop takes payments another way",
        ));
    }
    let purchase = app
        .orders
        .purchase(id)
        .await
        .map_err(refusals::database)?
        .filter(|purchase| purchase.user_id == caller.user_id)
        .ok_or_else(|| Problem::new(Code::NotFound))?;
    let command = Command::StartPayment(StartPayment {
        command_id: command_id(id, &caller, "POST payment", key.as_ref()),
        event_id: purchase.event_id,
        order_id: id,
        user_id: caller.user_id,
        fingerprint: fingerprint(key.as_ref(), &body),
        not_after: BoxOffice::not_after(),
    });
    let paid = match app.box_office.submit(&command).await {
        Ok(Answer::PaymentStarted { order, payment_id }) => {
            let charge = Charge {
                payment_id,
                order_id: id,
                amount: order.total,
                method,
            };
            let charged = Box::pin(async {
                let paid = charge_order(&app, &order, &charge).await?;
                answer_new(&app, &paid).await
            });
            return in_time(PENDING_PATIENCE, charged).await;
        }
        Ok(Answer::PaymentDeclined { .. }) => return Err(declined()),
        // The same request had its effect, and the order has moved on since.
        Ok(Answer::SeeRow {
            payment_id: Some(payment_id),
            ..
        }) => ended(&app, id, payment_id).await?,
        Err(SubmitError::Refused(Refusal::SeeRow)) => {
            let order = settled_row(&app, id).await?;
            return Err(refusals::not_payable(order.status)
                .unwrap_or_else(|| refusals::problem(SubmitError::Refused(Refusal::SeeRow))));
        }
        Ok(_) => return Err(refusals::problem(SubmitError::TimedOut)),
        Err(error) => return Err(refusals::problem(error)),
    };
    answer(&app, &paid).await
}

fn declined() -> Problem {
    Problem::new(Code::PaymentDeclined).detail("the card was declined; no money was taken")
}

/// What has no end in time has one later. A charge that is dropped here is one whose answer got lost: a job settles it.
async fn in_time<T>(
    patience: Duration,
    end: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let ended = timeout(patience, end).await;
    ended.unwrap_or_else(|_| Err(refusals::pending()))
}

async fn charge_order(app: &App, order: &Order, charge: &Charge) -> Result<Order, Problem> {
    // Less than whoever waits for this has: the last look must be heard.
    let until = Instant::now() + PENDING_PATIENCE - 2 * PENDING_LOOK;
    match app.cashier.charge(order.event_id, charge).await {
        Ok(Answer::Order(order)) => Ok((*order).clone()),
        Ok(Answer::PaymentDeclined { .. }) => Err(declined()),
        // Settled by somebody else in the same moment: the row shows it.
        Ok(_) => await_truth(app, order, charge, until).await,
        // The provider was asked, so the money may have moved, whatever it was that failed then.
        Err(error) => {
            let error = anyhow::Error::from(error);
            let payment_id = charge.payment_id;
            tracing::info!(%payment_id, error = format!("{error:#}"), "the end of a charge is awaited");
            await_truth(app, order, charge, until).await
        }
    }
}

/// Waits until a charge whose answer got lost is settled, no longer than `until` and one look.
async fn await_truth(
    app: &App,
    order: &Order,
    charge: &Charge,
    until: Instant,
) -> Result<Order, Problem> {
    let (order_id, payment_id) = (order.id, charge.payment_id);
    let open = OpenPayment {
        order_id,
        event_id: order.event_id,
        payment_id,
        amount: charge.amount,
        since: Timestamp::now(),
    };
    let mut ask_at = Instant::now();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // A database that is away says nothing of the money: the next look, or a repeat, tells.
        let looked = timeout(left.max(PENDING_LOOK), app.orders.find(order_id)).await;
        if let Ok(Ok(Some(order))) = looked
            && order.status != Status::Reserved
        {
            let ended = ended(app, order_id, payment_id).await;
            return ended.map_err(|problem| match problem.code() {
                Code::Unavailable => refusals::pending(),
                _ => problem,
            });
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(refusals::pending());
        }
        // Unknown stays unknown until the provider says so; and until the box office has heard it the order is still
        // being paid, and would refuse another card.
        if ask_at <= Instant::now() {
            let told = async {
                let end = app.cashier.end(payment_id).await?;
                let settled = end.is_some() && app.cashier.resolve(&open, false).await?;
                // What was paid is in the row by now, which the next look finds.
                Ok::<_, CashierError>(settled && end == Some(ChargeEnd::Declined))
            };
            if let Ok(Ok(true)) = timeout(left, told).await {
                return Err(declined());
            }
            ask_at = Instant::now() + PROVIDER_LOOK;
        }
        tokio::time::sleep(PENDING_LOOK).await;
    }
}

/// How the attempt `payment_id` came out, of an order that has left the books.
async fn ended(app: &App, order_id: Uuid, payment_id: Uuid) -> Result<Order, Problem> {
    let order = settled_row(app, order_id).await?;
    if order.payment_id == Some(payment_id) {
        return Ok(order);
    }
    match app.cashier.end(payment_id).await {
        Ok(Some(ChargeEnd::Declined)) => Err(declined()),
        Ok(_) => Err(refusals::not_payable(order.status).unwrap_or_else(refusals::pending)),
        Err(error) => Err(refusals::pending().cause(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_charge_without_an_end_in_time_is_pending() {
        let patience = Duration::from_millis(20);
        let pending = in_time(patience, std::future::pending::<Result<(), Problem>>()).await;
        let problem = pending.expect_err("it has no end");
        assert_eq!(problem.code(), Code::PaymentPending);
        assert!(in_time(patience, async { Ok(()) }).await.is_ok());
        let declined = in_time(patience, async { Err::<(), _>(declined()) }).await;
        let problem = declined.expect_err("declined");
        assert_eq!(problem.code(), Code::PaymentDeclined);
    }
}
