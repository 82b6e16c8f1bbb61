//! Webhooks, signed as Stripe signs them.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use e2e::{Answer, Api, Call};
use platform::clock::Timestamp;
use serde_json::{Value, json};

use super::{Fake, Shared};

/// The signing secret of the endpoint.
pub(crate) const WEBHOOK_SECRET: &str = "whsec_of_the_tests";
const PATH: &str = "/v1/payments/webhooks/stripe";

pub(crate) fn now_seconds() -> i64 {
    Timestamp::now().as_micros() / 1_000_000
}

/// A webhook with this body, signed at this time with this secret.
pub(crate) fn signed(api: &Api, body: &str, seconds: i64, secret: &str) -> Call {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    let mut header = format!("t={seconds},v1=");
    for byte in tag.as_ref() {
        _ = write!(header, "{byte:02x}");
    }
    api.post(PATH)
        .header("stripe-signature", &header)
        .body("application/json; charset=utf-8", body)
}

pub(crate) fn event(kind: &str, object: &Value) -> String {
    json!({"id": "evt_1", "object": "event", "type": kind, "data": {"object": object}}).to_string()
}

/// The status that the webhook about an intent as it is now is answered with.
pub(super) async fn send(shared: &Shared, intent: &str, kind: &str, seconds: i64) -> Option<u16> {
    let object = shared.ledger().intent_object(intent)?;
    let call = signed(
        shared.gateway.as_ref()?,
        &event(kind, &object),
        seconds,
        WEBHOOK_SECRET,
    );
    call.send().await.ok().map(|answer| answer.status)
}

impl Fake {
    /// Sends the webhook about an intent as it is now.
    pub(crate) async fn webhook(&self, intent: &str, kind: &str) -> anyhow::Result<Answer> {
        let object = self.ledger().intent_object(intent);
        let object = object.ok_or_else(|| anyhow::anyhow!("no intent {intent}"))?;
        self.event(&event(kind, &object)).await
    }

    /// Sends any webhook, well signed.
    pub(crate) async fn event(&self, body: &str) -> anyhow::Result<Answer> {
        let gateway = self.shared.gateway.as_ref();
        let gateway = gateway.ok_or_else(|| anyhow::anyhow!("no gateway"))?;
        signed(gateway, body, now_seconds(), WEBHOOK_SECRET)
            .send()
            .await
    }
}
