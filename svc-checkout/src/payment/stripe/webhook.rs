//! What Stripe tells by itself. Nothing waits for it: the job that asks comes to the same end, only later. So a webhook
//! may come twice, late, early, out of order or never.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::Stripe;
use super::answers::Intent;
use super::client::CallError;
use super::signature::Signatures;
use crate::domain::order::{MAX_PAYMENT_ATTEMPTS, Order};
use crate::payment::{ChargeEnd, Unknown};

/// The kinds of event that say something for good. A declined card does not: its intent is still open, and whoever tried
/// it cancels it.
const FINAL_EVENTS: [&str; 2] = ["payment_intent.succeeded", "payment_intent.canceled"];

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    data: EventData,
}

#[derive(Deserialize)]
struct EventData {
    object: Value,
}

#[derive(Deserialize)]
struct ReportedIntent {
    #[serde(flatten)]
    intent: Intent,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

/// An intent of ours came to its end.
#[derive(Debug)]
pub struct Report {
    /// Of the order.
    pub order_id: Uuid,
    /// Of the payment.
    pub payment_id: Uuid,
    intent: Intent,
}

/// Reads the body of a webhook whose signature is good. `None`: it is nothing that we need to know.
pub fn read(body: &[u8]) -> Result<Option<Report>, serde_json::Error> {
    let event: Event = serde_json::from_slice(body)?;
    if !FINAL_EVENTS.contains(&event.kind.as_str()) {
        return Ok(None);
    }
    let ReportedIntent { intent, metadata } = serde_json::from_value(event.data.object)?;
    let id = |name: &str| metadata.get(name).and_then(|text| text.parse().ok());
    // An account may have other shops, whose intents have no such ids.
    Ok(id("order_id")
        .zip(id("payment_id"))
        .map(|(order_id, payment_id)| Report {
            order_id,
            payment_id,
            intent,
        }))
}

/// Receives webhooks.
pub struct Webhooks {
    /// Who may send them.
    pub signatures: Signatures,
    stripe: Arc<Stripe>,
}

impl Webhooks {
    /// For these senders, about payments of this provider.
    pub fn new(signatures: Signatures, stripe: Arc<Stripe>) -> Self {
        Self { signatures, stripe }
    }

    /// The end of a payment of `order` that is reported, noted; `None`: the payment is not the order's, or has no end.
    pub async fn end_of(
        &self,
        report: &Report,
        order: &Order,
    ) -> Result<Option<ChargeEnd>, Unknown> {
        let Report {
            payment_id, intent, ..
        } = report;
        if !order.owns_payment(*payment_id, MAX_PAYMENT_ATTEMPTS) {
            return Ok(None);
        }
        let notes = &self.stripe.notes;
        let intent_id = Some(intent.id.clone());
        let Some(note) = notes.find(*payment_id).await.map_err(super::unknown)? else {
            // It is noted before it is confirmed, so the notes were lost, or somebody else's intent names our order. Only
            // what Stripe tells us under our own key is believed.
            let told = match self.stripe.client.intent(&intent.id).await {
                Ok(told) => told,
                Err(CallError::Refused { .. }) => {
                    tracing::error!(%payment_id, intent = intent.id, "a webhook about an intent that is not ours");
                    return Ok(None);
                }
                Err(error) => return Err(super::unknown(error)),
            };
            let begun = notes.begin(*payment_id, order.id, order.total, intent_id);
            let note = begun.await.map_err(super::unknown)?;
            return self.stripe.judge(*payment_id, note.amount, &told).await;
        };
        if note.intent_id != intent_id {
            tracing::error!(%payment_id, intent = intent.id, noted = ?note.intent_id,
                "a second intent of a payment: a person must look");
            return Ok(None);
        }
        self.stripe.judge(*payment_id, note.amount, intent).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::stripe::answers::IntentStatus;
    use serde_json::json;

    fn event(kind: &str, object: &Value) -> Vec<u8> {
        let event =
            json!({"id": "evt_1", "object": "event", "type": kind, "data": {"object": object}});
        event.to_string().into_bytes()
    }

    fn intent() -> Value {
        json!({
            "id": "pi_1", "object": "payment_intent", "status": "succeeded", "amount": 100,
            "amount_received": 100, "currency": "eur", "last_payment_error": null,
            "metadata": {
                "order_id": Uuid::from_u128(1), "payment_id": Uuid::from_u128(2), "note": "more"
            },
        })
    }

    #[test]
    fn an_end_of_ours_is_read() {
        let report = read(&event("payment_intent.succeeded", &intent()))
            .unwrap()
            .unwrap();
        assert_eq!(report.order_id, Uuid::from_u128(1));
        assert_eq!(report.payment_id, Uuid::from_u128(2));
        assert_eq!(report.intent.status, IntentStatus::Succeeded);
        assert_eq!(report.intent.amount_received, 100);
    }

    #[test]
    fn what_is_not_ours_or_not_final_is_passed_over() {
        let mut foreign = intent();
        foreign["metadata"] = json!({"order_id": "17"});
        for (kind, object) in [
            ("payment_intent.payment_failed", intent()),
            ("payment_intent.created", intent()),
            ("invoice.paid", json!({"id": "in_1"})),
            ("some.thing_new", json!(null)),
            ("payment_intent.succeeded", foreign),
        ] {
            let read = read(&event(kind, &object)).unwrap();
            assert!(read.is_none(), "{kind}");
        }
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for body in [&b""[..], b"{", b"[]", b"{\"type\": 1}", b"\xff"] {
            assert!(read(body).is_err(), "{body:?}");
        }
        let without_id = event("payment_intent.succeeded", &json!({"status": "succeeded"}));
        assert!(read(&without_id).is_err());
    }
}
