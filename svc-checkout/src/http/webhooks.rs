//! /v1/payments/webhooks

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use platform::clock::Timestamp;
use platform::http::{Code, Problem, RawBody};

use super::refusals;
use crate::app::App;
use crate::box_office::worklist::OpenPayment;
use crate::payment::stripe::webhook;

/// Largest webhook. Stripe's events about a payment have some 5 kB.
pub const MAX_WEBHOOK_BYTES: usize = 256 * 1024;
const SIGNATURE_HEADER: &str = "stripe-signature";

/// Hear from Stripe what became of a payment
#[utoipa::path(
    operation_id = "take_stripe_webhook",
    post, path = "/v1/payments/webhooks/stripe", tag = "payments",
    params(("Stripe-Signature" = String, Header, description = "t=…,v1=…: HMAC-SHA256 of time and body")),
    request_body(content = serde_json::Value, description = "An event of Stripe", content_type = "application/json"),
    responses(
        (status = 200, description = "What it reports is in the log, or is nothing to us"),
        (status = 400, description = "malformed: not signed with a known secret, older than five minutes, or no event"),
        (status = 404, description = "not-found: Stripe is not the payment provider here"),
        (status = 413, description = "too-large"),
        (status = 503, description = "unavailable: send it again"),
    )
)]
pub async fn stripe(
    State(app): State<App>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<StatusCode, Problem> {
    let Some(webhooks) = &app.stripe_webhooks else {
        return Err(Problem::new(Code::NotFound));
    };
    let signature = headers
        .get(SIGNATURE_HEADER)
        .and_then(|value| value.to_str().ok());
    webhooks
        .signatures
        .check(signature, &body, Timestamp::now())
        .map_err(|error| Problem::new(Code::Malformed).detail(error.to_string()))?;
    let report = webhook::read(&body).map_err(|error| {
        Problem::new(Code::Malformed).detail(format!("no event that can be read: {error}"))
    })?;
    let Some(report) = report else {
        return Ok(StatusCode::OK);
    };
    let found = app.orders.find(report.order_id).await;
    let Some(order) = found.map_err(refusals::database)? else {
        // Another installation that shares the account, most likely. Repeating it would not help.
        tracing::warn!(order_id = %report.order_id, payment_id = %report.payment_id, "Stripe reports a payment of no order");
        return Ok(StatusCode::OK);
    };
    let end = webhooks.end_of(&report, &order).await;
    let Some(end) = end.map_err(Problem::unavailable)? else {
        return Ok(StatusCode::OK);
    };
    let open = OpenPayment {
        order_id: order.id,
        event_id: order.event_id,
        payment_id: report.payment_id,
        amount: order.total,
        since: Timestamp::now(),
    };
    // The box office answers when its decision is in the log. Whatever else happens: Stripe sends it again.
    app.cashier
        .settle(&open, end)
        .await
        .map_err(Problem::unavailable)?;
    Ok(StatusCode::OK)
}
