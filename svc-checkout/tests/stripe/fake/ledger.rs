//! What the stand-in knows.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::{Value, json};
use uuid::Uuid;

use super::error;

/// The fields of a request.
pub(crate) type Form = HashMap<String, String>;

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) then: Then,
}

/// What happens once the effect is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    Answer,
    /// Nobody ever hears of it.
    Hang,
    /// The answer waits until the test says so.
    Held,
    /// The webhook is there before the answer.
    WebhookFirst,
}

#[derive(Debug, Clone)]
pub(crate) struct FakeIntent {
    amount: i64,
    currency: String,
    metadata: HashMap<String, String>,
    pub(crate) status: &'static str,
}

#[derive(Debug)]
struct FakeRefund {
    intent: String,
    amount: i64,
    status: &'static str,
}

/// Intents, refunds and keys.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    intents: BTreeMap<String, FakeIntent>,
    refunds: Vec<FakeRefund>,
    keys: HashMap<String, (String, Reply)>,
    failures: HashMap<String, VecDeque<u16>>,
    hangs: Vec<String>,
    /// How the next refunds come out; then all succeed.
    pub(crate) refund_ends: VecDeque<&'static str>,
    /// How often each verb had its effect.
    pub(crate) done: HashMap<String, usize>,
}

/// Less is refused, as at Stripe.
const LEAST: i64 = 50;

impl Ledger {
    /// The next `times` requests of this verb are answered with `status` and have no effect.
    pub(crate) fn fail(&mut self, verb: &str, status: u16, times: usize) {
        let failures = self.failures.entry(verb.to_owned()).or_default();
        failures.extend(std::iter::repeat_n(status, times));
    }

    /// The next request of this verb has its effect and no answer.
    pub(crate) fn hang(&mut self, verb: &str) {
        self.hangs.push(verb.to_owned());
    }

    pub(super) fn planned(&mut self, verb: &str) -> Option<u16> {
        self.failures.get_mut(verb)?.pop_front()
    }

    /// Nothing fails any more.
    pub(crate) fn heal(&mut self) {
        self.failures.clear();
    }

    /// A day is over.
    pub(crate) fn forget_keys(&mut self) {
        self.keys.clear();
    }

    /// As if another account were asked.
    pub(crate) fn forget_intents(&mut self) {
        self.intents.clear();
    }

    /// Taken and given back of an order's money.
    pub(crate) fn money(&self, order: Uuid) -> (i64, i64) {
        let of_order = self.of_order(order);
        let taken = of_order.iter().filter(|(_, i)| i.status == "succeeded");
        let taken = taken.map(|(_, intent)| intent.amount).sum();
        let back = self.refunds.iter().filter(|refund| {
            refund.status == "succeeded" && of_order.iter().any(|(id, _)| *id == refund.intent)
        });
        (taken, back.map(|refund| refund.amount).sum())
    }

    /// Intents of an order, in the order of their making.
    pub(crate) fn of_order(&self, order: Uuid) -> Vec<(String, FakeIntent)> {
        let order = order.to_string();
        let of_order = self.intents.iter();
        of_order
            .filter(|(_, intent)| intent.metadata.get("order_id") == Some(&order))
            .map(|(id, intent)| (id.clone(), intent.clone()))
            .collect()
    }

    /// Statuses of an order's intents.
    pub(crate) fn statuses(&self, order: Uuid) -> Vec<&'static str> {
        let of_order = self.of_order(order);
        of_order.iter().map(|(_, intent)| intent.status).collect()
    }

    /// Pending refunds come to this end.
    pub(crate) fn end_refunds(&mut self, status: &'static str) {
        for refund in &mut self.refunds {
            if refund.status == "pending" {
                refund.status = status;
            }
        }
    }

    /// The same key: the same answer, whatever it was. Another request under it is refused.
    pub(super) fn once(
        &mut self,
        key: &str,
        request: String,
        act: impl FnOnce(&mut Self) -> Reply,
    ) -> Reply {
        if let Some((known, reply)) = self.keys.get(key) {
            if *known != request {
                return error(400, "idempotency_error", "");
            }
            return Reply {
                then: Then::Answer,
                ..reply.clone()
            };
        }
        let reply = act(self);
        // What fails validation is not kept.
        let is_kept = reply.status != 400;
        if is_kept {
            self.keys.insert(key.to_owned(), (request, reply.clone()));
        }
        reply
    }

    pub(super) fn act(&mut self, verb: &str, id: &str, form: &Form) -> Reply {
        let mut reply = match verb {
            "create" => self.create(form),
            "confirm" => self.confirm(id, form),
            "cancel" => self.cancel(id),
            "refund" => self.refund(form),
            _ => error(404, "invalid_request_error", "unknown_url"),
        };
        if let Some(at) = self.hangs.iter().position(|hang| hang == verb) {
            self.hangs.remove(at);
            reply.then = Then::Hang;
        }
        *self.done.entry(verb.to_owned()).or_default() += 1;
        reply
    }

    fn create(&mut self, form: &Form) -> Reply {
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        let amount = field("amount").parse().unwrap_or_default();
        if amount < LEAST {
            return error(400, "invalid_request_error", "amount_too_small");
        }
        let metadata = form.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((name.to_owned(), value.clone()))
        });
        let intent = FakeIntent {
            amount,
            currency: field("currency"),
            metadata: metadata.collect(),
            status: "requires_payment_method",
        };
        let id = format!("pi_{:06}", self.intents.len() + 1);
        self.intents.insert(id.clone(), intent);
        self.show(&id)
    }

    fn confirm(&mut self, id: &str, form: &Form) -> Reply {
        let Some(intent) = self.intents.get_mut(id) else {
            return error(404, "invalid_request_error", "resource_missing");
        };
        if intent.status != "requires_payment_method" {
            return error(
                400,
                "invalid_request_error",
                "payment_intent_unexpected_state",
            );
        }
        let then = match form.get("payment_method").map(String::as_str) {
            Some("pm_declined") => return error(402, "card_error", "card_declined"),
            Some("pm_3ds") if form.contains_key("error_on_requires_action") => {
                return error(402, "card_error", "authentication_required");
            }
            Some("pm_3ds") => {
                intent.status = "requires_action";
                return self.show(id);
            }
            Some("pm_paid") => Then::Answer,
            Some("pm_lost") => Then::Hang,
            Some("pm_held") => Then::Held,
            Some("pm_webhook_first") => Then::WebhookFirst,
            Some("pm_500") => {
                intent.status = "succeeded";
                return error(500, "api_error", "");
            }
            _ => return error(400, "invalid_request_error", "resource_missing"),
        };
        intent.status = "succeeded";
        Reply {
            then,
            ..self.show(id)
        }
    }

    fn cancel(&mut self, id: &str) -> Reply {
        let Some(intent) = self.intents.get_mut(id) else {
            return error(404, "invalid_request_error", "resource_missing");
        };
        if matches!(intent.status, "succeeded" | "canceled" | "processing") {
            return error(
                400,
                "invalid_request_error",
                "payment_intent_unexpected_state",
            );
        }
        intent.status = "canceled";
        self.show(id)
    }

    fn refund(&mut self, form: &Form) -> Reply {
        let id = form.get("payment_intent").cloned().unwrap_or_default();
        let Some(intent) = self.intents.get(&id) else {
            return error(404, "invalid_request_error", "resource_missing");
        };
        let is_under_way = |refund: &&FakeRefund| refund.intent == id && refund.status != "failed";
        let back: i64 = self
            .refunds
            .iter()
            .filter(is_under_way)
            .map(|r| r.amount)
            .sum();
        if intent.status != "succeeded" || back >= intent.amount {
            return error(400, "invalid_request_error", "charge_already_refunded");
        }
        let refund = FakeRefund {
            amount: intent.amount - back,
            intent: id,
            status: self.refund_ends.pop_front().unwrap_or("succeeded"),
        };
        let body = shown(&refund);
        self.refunds.push(refund);
        answer(body)
    }

    pub(super) fn show(&self, id: &str) -> Reply {
        match self.intent_object(id) {
            Some(object) => answer(object),
            None => error(404, "invalid_request_error", "resource_missing"),
        }
    }

    pub(super) fn list_refunds(&self, intent: &str) -> Reply {
        let of_intent = self.refunds.iter().rev().filter(|r| r.intent == intent);
        let data: Vec<Value> = of_intent.map(shown).collect();
        answer(json!({"object": "list", "data": data, "has_more": false, "url": "/v1/refunds"}))
    }

    pub(super) fn intent_object(&self, id: &str) -> Option<Value> {
        let intent = self.intents.get(id)?;
        let received = if intent.status == "succeeded" {
            intent.amount
        } else {
            0
        };
        Some(json!({
            "id": id, "object": "payment_intent", "status": intent.status, "amount": intent.amount,
            "amount_received": received, "currency": intent.currency, "metadata": intent.metadata,
        }))
    }
}

fn shown(refund: &FakeRefund) -> Value {
    json!({"id": "re_1", "object": "refund", "amount": refund.amount, "status": refund.status,
        "payment_intent": refund.intent})
}

fn answer(body: Value) -> Reply {
    Reply {
        status: 200,
        body,
        then: Then::Answer,
    }
}
